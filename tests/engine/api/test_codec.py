"""The border: what goes in at one end comes out at the other, and nothing else does."""

from __future__ import annotations

import dataclasses
import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import api
from engine.api.codec import Frames, ProtocolError, decode, encode
from engine.api.events import Picture
from engine.api.snapshot import DocumentRow, JobRows, JobState, Snapshot

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def instances(kind: object) -> st.SearchStrategy:
    """Make a strategy from a type hint of the protocol."""
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return st.builds(kind, **{f.name: instances(hints[f.name]) for f in dataclasses.fields(kind)})
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return st.lists(instances(inner[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(st.text(), json_values if inner[1] is typing.Any else instances(inner[1]), max_size=2)
    if type(None) in inner:
        return st.none() | instances(next(i for i in inner if i is not type(None)))
    if kind is typing.Any:
        return json_values
    if kind.__name__ == "Plan":
        return st.just(kind())
    return {
        int: st.integers(-(2**53), 2**53),
        float: st.floats(allow_nan=False, allow_infinity=False),
        str: st.text(st.characters(codec=None)),
        bool: st.booleans(),
    }[kind]


MESSAGES = (*typing.get_args(api.Command), *typing.get_args(api.Event))


@pytest.fixture(autouse=True)
def plans_are_valid(monkeypatch):
    """Plan checks its numbers; here it stands for any nested dataclass."""
    real = instances

    def patched(kind):
        return st.just(api.Plan()) if kind is api.Plan else real(kind)

    monkeypatch.setitem(globals(), "instances", patched)


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_every_message_survives_the_border(kind):
    @settings(max_examples=15, deadline=None)
    @given(instances(kind), st.integers(1, 50))
    def survives(message, cut):
        frame = encode(message)
        frames = Frames()
        heard = [m for i in range(0, len(frame), cut) for m in frames.feed(frame[i : i + cut])]
        assert heard == [message]

    survives()


def test_frames_keep_their_order_when_many_arrive_at_once():
    commands = [api.Pause(i, f"job {i}") for i in range(100)]
    assert Frames().feed(b"".join(map(encode, commands))) == commands


def test_file_names_that_are_not_utf8_cross_unharmed():
    name = b"caf\xe9.txt".decode("utf-8", "surrogateescape")
    command = api.AddPaths(1, "job", (name,))
    assert Frames().feed(encode(command)) == [command]


def test_rows_cross_as_lists_so_that_ten_thousand_stay_small():
    row = DocumentRow(1, 1, "a.txt", "/x/a.txt", 10, "waiting")
    picture = Picture(Snapshot(1, 0.0, rows=(JobRows("j", (row,)),)))
    assert b'"state"' not in encode(picture)
    assert decode(encode(picture)[4:]) == picture


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"type":"Nothing"}',
        b'{"type":"Pause","request":1}',
        b'{"type":"Pause","who":1}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_message_is_refused(body):
    with pytest.raises(ProtocolError):
        decode(body)


def test_a_frame_above_the_limit_is_refused_before_it_is_read():
    with pytest.raises(ProtocolError):
        Frames().feed((api.LIMIT + 1).to_bytes(4, "big"))


def test_states_keep_their_counts():
    state = JobState("j", "", "running", False, 0, "embed", {"done": 3}, 0, 0, 1.0, -1.0)
    assert decode(encode(Picture(Snapshot(1, 0.0, jobs=(state,))))[4:]).snapshot.jobs[0].counts == {"done": 3}
