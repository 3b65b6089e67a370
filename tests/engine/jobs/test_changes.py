"""Cursors: every reader sees every change once, at its own pace, and none takes anything from another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.jobs.changes import Changes, Cursor

DOCUMENTS = 12

events = st.lists(
    st.one_of(
        st.tuples(st.just("touch"), st.integers(0, DOCUMENTS - 1)),
        st.tuples(st.just("remove"), st.integers(0, DOCUMENTS - 1)),
        st.tuples(st.sampled_from(("fast", "slow")), st.integers(1, 4)),
    ),
    max_size=120,
)


class Reader:
    """Someone who keeps a copy of a pile by what a cursor tells."""

    def __init__(self) -> None:
        self.cursor = Cursor()
        self.copy: dict[int, int] = {}
        self.told: list[tuple[int, int]] = []

    def read(self, pile: dict[int, int], changes: Changes, limit: int) -> bool:
        """Take the next changes over; returns whether more wait."""
        told, gone, more = self.cursor.take(changes, limit, lambda number: number in pile)
        assert len(told) <= limit
        assert sorted(set(told)) == told
        for number in gone:
            self.copy.pop(number, None)
        for number in told:
            self.told.append((number, pile[number]))
            self.copy[number] = pile[number]
        return more


@given(events)
def test_two_readers_at_their_own_pace_end_with_the_same_pile_and_no_change_is_told_twice(happened):
    changes, pile, version = Changes(), {}, 0
    readers = {"fast": Reader(), "slow": Reader()}
    for what, number in happened:
        if what == "touch":
            version += 1
            pile[number] = version
            changes.touch(number)
        elif what == "remove":
            if pile.pop(number, None) is not None:
                changes.remove(number)
        else:
            readers[what].read(pile, changes, number)
    for reader in readers.values():
        rounds = 0
        while reader.read(pile, changes, 3):
            rounds += 1
            assert rounds <= DOCUMENTS
        assert reader.copy == pile
        assert len(set(reader.told)) == len(reader.told), "one version of a row is told once"
        assert not reader.read(pile, changes, 3)
        assert not reader.cursor.waits


@given(st.integers(1, 500), st.integers(1, 50))
def test_a_slow_reader_neither_loses_nor_delays(count, limit):
    changes, pile = Changes(), {}
    fast, slow = Reader(), Reader()
    for number in range(count):
        pile[number] = number
        changes.touch(number)
        assert not fast.read(pile, changes, 1), "the other one is as far behind as it likes"
    assert fast.copy == pile
    takes = 1
    while slow.read(pile, changes, limit):
        takes += 1
    assert takes == -(-count // limit)
    assert slow.copy == pile


def test_a_row_that_may_not_be_told_yet_waits_for_this_reader_alone():
    changes = Changes()
    changes.touch(1)
    changes.touch(2)
    careful, eager = Cursor(), Cursor()
    assert careful.take(changes, 10, lambda number: number != 1) == ([2], [], True)
    assert eager.take(changes, 10, lambda _: True) == ([1, 2], [], False)
    assert careful.waits
    assert careful.take(changes, 10, lambda _: True) == ([1], [], False)


def test_a_rewound_reader_is_told_everything_anew_and_that_it_is():
    changes = Changes()
    for number in (3, 1, 2):
        changes.touch(number)
    changes.remove(2)
    cursor = Cursor()
    assert cursor.reset
    cursor.take(changes, 10, lambda _: True)
    assert not cursor.reset
    cursor.rewind()
    assert cursor.reset
    assert cursor.take(changes, 10, lambda _: True)[0] == [1, 3]


def test_what_goes_and_comes_back_is_told_as_there():
    changes, cursor = Changes(), Cursor()
    changes.touch(1)
    cursor.take(changes, 10, lambda _: True)
    changes.remove(1)
    changes.touch(1)
    assert cursor.take(changes, 10, lambda _: True) == ([1], [], False)
