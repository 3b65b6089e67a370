"""What the engine sends comes in whole, in its order, and a share at a time where there is much of it."""

from __future__ import annotations

import itertools

import pytest

from engine.api import DocumentRow, JobRows, Reply, Snapshot, encode
from gui import inbox
from gui.inbox import ROWS_A_TICK, Inbox, Snapshots

REPLIES = [Reply(n, ok=True) for n in range(5)]
STREAM = b"".join(encode(reply) for reply in REPLIES)


class Taker:
    """An inbox that keeps what it hands on."""

    def __init__(self, qapp):
        self.taken = []
        self.problems = []
        self.inbox = Inbox(self.taken.append, self.problems.append, qapp)


@pytest.fixture
def taker(qapp):
    made = Taker(qapp)
    yield made
    made.inbox.deleteLater()


@pytest.fixture
def slow(monkeypatch):
    """Every message takes more than an event's share of time."""
    clock = itertools.count()
    monkeypatch.setattr(inbox.time, "monotonic", lambda: float(next(clock)))


def test_what_is_quick_is_taken_at_once(taker):
    for at in range(len(STREAM)):  # byte by byte, as a pipe may cut it
        taker.inbox.add(STREAM[at : at + 1])
    assert taker.taken == REPLIES


@pytest.mark.usefixtures("slow")
def test_what_takes_long_is_taken_message_by_message_in_later_events(taker, qtbot):
    taker.inbox.add(STREAM)
    assert taker.taken == REPLIES[:1]
    qtbot.waitUntil(lambda: len(taker.taken) == 5)
    assert taker.taken == REPLIES


@pytest.mark.usefixtures("slow")
def test_the_end_of_a_stream_is_taken_whole(taker):
    taker.inbox.add(STREAM)
    taker.inbox.finish()
    assert taker.taken == REPLIES


@pytest.mark.usefixtures("slow")
def test_another_stream_begins_with_nothing(taker, qtbot):
    taker.inbox.add(STREAM + b"half")
    taker.inbox.clear()
    taker.inbox.add(encode(REPLIES[3]))
    qtbot.waitUntil(lambda: len(taker.taken) == 2)
    assert taker.taken == [REPLIES[0], REPLIES[3]]
    assert not taker.problems


def test_a_message_that_ends_the_stream_is_the_last(qapp):
    taken = []

    def take(message):
        taken.append(message)
        made.clear()

    made = Inbox(take, pytest.fail, qapp)
    made.add(STREAM)
    assert taken == REPLIES[:1]
    made.deleteLater()


def test_a_broken_stream_is_told_once(taker):
    taker.inbox.add(STREAM + b"\xff\xff\xff\xff and so on")
    assert taker.taken == REPLIES
    assert len(taker.problems) == 1
    taker.inbox.finish()
    assert len(taker.problems) == 1


def test_a_tick_merges_a_share_of_what_piled_up():
    rows = tuple(DocumentRow(n, n, f"{n}", f"/{n}", 1, "waiting") for n in range(ROWS_A_TICK // 2))
    snapshots = [Snapshot(n, float(n), rows=(JobRows("a", rows),)) for n in range(5)]
    waiting = Snapshots()
    assert waiting.due() == []
    for snapshot in snapshots:
        waiting.append(snapshot)
    assert [[one.sequence for one in waiting.due()] for _ in range(4)] == [[0, 1], [2, 3], [4], []]


def test_snapshots_without_rows_are_all_due():
    waiting = Snapshots()
    for n in range(50):
        waiting.append(Snapshot(n, float(n)))
    assert len(waiting.due()) == 50
