"""The scheduler keeps its promises for any pile: nothing lost, memory never promised twice, decode never starved."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import DocumentError, UsageError
from engine.inference.generation.scheduler import SMALLEST_CHUNK, Entry, Scheduler, Step

CLASSES = (8, 32, 100)
TOKEN = 10
"""Bytes of a token in the fake memory."""


@dataclass
class Cell:
    """Whose tokens lie in a slot, by column."""

    columns: dict[int, tuple[int, int]] = field(default_factory=dict)


class FakeMemory:
    """Remembers which sequence's token lies in which column of which slot, and that freed slots are clean."""

    def __init__(self) -> None:
        self.slots: list[list[Cell]] = [[] for _ in CLASSES]
        self.widths = [0 for _ in CLASSES]

    def slot_bytes(self, length_class: int) -> int:
        return CLASSES[length_class] * TOKEN

    def take(self, length_class: int) -> None:
        self.slots[length_class].append(Cell())

    def reach(self, length_class: int, tokens: int) -> None:
        assert tokens <= CLASSES[length_class]
        self.widths[length_class] = max(self.widths[length_class], tokens)

    def copy(self, source: tuple[int, int], target: tuple[int, int], tokens: int, stale: int) -> None:
        old, new = self.slots[source[0]][source[1]], self.slots[target[0]][target[1]]
        for column in range(max(tokens, stale)):
            new.columns.pop(column, None)
        new.columns.update({c: v for c, v in old.columns.items() if c < tokens})

    def drop(self, length_class: int, tokens: int) -> None:
        cell = self.slots[length_class].pop()
        assert all(column < tokens for column in cell.columns), "dropped with tokens left behind"

    @property
    def bytes(self) -> int:
        return sum(len(cells) * self.slot_bytes(c) for c, cells in enumerate(self.slots))


def write(memory: FakeMemory, step: Step) -> None:
    for entry in step.decode:
        assert entry.done < memory.widths[entry.length_class]
        memory.slots[entry.length_class][entry.slot].columns[entry.done] = (entry.id, entry.done)
    for chunk in step.chunks:
        assert chunk.stop <= memory.widths[chunk.entry.length_class]
        cell = memory.slots[chunk.entry.length_class][chunk.entry.slot]
        cell.columns.update({c: (chunk.entry.id, c) for c in range(chunk.start, chunk.stop)})


def check(memory: FakeMemory, scheduler: Scheduler, budget: int) -> None:
    assert scheduler.reserved == sum(e.reserved for e in scheduler.running) <= budget
    assert memory.bytes <= budget
    places = [(e.length_class, e.slot) for e in scheduler.running]
    assert len(set(places)) == len(places)
    for length_class, capacity in enumerate(CLASSES):
        mine = [e for e in scheduler.running if e.length_class == length_class]
        assert scheduler.used(length_class) == len(mine) == len(memory.slots[length_class])
        assert sorted(e.slot for e in mine) == list(range(len(mine))), "slots in use are dense"
        assert all(e.done <= capacity for e in mine)


sequences = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 40), st.booleans()), min_size=1, max_size=14)


@settings(max_examples=150, deadline=None)
@given(sequences, st.integers(1, 5), st.integers(1000, 3000), st.integers(1, 64), st.integers(0, 2**32))
def test_any_pile_runs_to_its_end_in_its_memory(pile, slots, budget, token_budget, seed) -> None:
    random = Random(seed)
    memory = FakeMemory()
    scheduler = Scheduler(memory, CLASSES, slots=slots, budget=budget, token_budget=token_budget)
    entries = [Entry(i, n, n + new) for i, (n, new, _) in enumerate(pile)]
    doomed = {i for i, (_, _, taken_back) in enumerate(pile) if taken_back}
    coming = list(entries)
    over: set[int] = set()
    steps = 0
    while coming or len(scheduler):
        steps += 1
        assert steps < 3000, "the scheduler stands still"
        if coming and random.random() < 0.6:
            scheduler.add(coming.pop(0))
        before = [e for e in scheduler.running if e.decoding]
        step = scheduler.plan()
        check(memory, scheduler, budget)
        assert len(scheduler.running) <= slots
        assert set(before) <= set(step.decode), "decode never waits for prompts"
        assert step.decode == sorted(step.decode, key=lambda e: (e.length_class, e.slot))
        assert step.tokens <= max(token_budget, len(step.decode) + SMALLEST_CHUNK)
        assert step.tokens or not scheduler.running, "whatever has a slot moves"
        assert not scheduler.waiting or scheduler.running, "an empty worker admits"
        write(memory, step)
        if random.random() < 0.2:
            continue  # cancelled in the middle: written, and not booked
        scheduler.commit(step)
        for entry in scheduler.running:
            cell = memory.slots[entry.length_class][entry.slot]
            assert [cell.columns.get(c) for c in range(entry.done)] == [(entry.id, c) for c in range(entry.done)]
        for entry in scheduler.running:  # a new token, and some behind it that can only follow
            if entry.decoding and entry.done + 1 < entry.total and random.random() < 0.2:
                entry.length = min(entry.total, entry.done + 1 + random.randint(1, 30))
        ended = [e for e in scheduler.running if e.done >= e.total - 1]
        ended += [e for e in [*scheduler.running, *scheduler.waiting] if e.id in doomed and random.random() < 0.1]
        ended = list(dict.fromkeys(ended))
        scheduler.remove(ended)
        over |= {e.id for e in ended}
        check(memory, scheduler, budget)
    assert over == set(range(len(pile)))
    assert memory.bytes == 0
    assert scheduler.reserved == 0


def make(slots: int = 4, budget: int = 10_000, token_budget: int = 20) -> Scheduler:
    return Scheduler(FakeMemory(), CLASSES, slots=slots, budget=budget, token_budget=token_budget)


def test_decode_rows_come_first_and_prompts_fill_the_budget() -> None:
    scheduler = make()
    scheduler.add(Entry(0, 5, 50))
    scheduler.commit(scheduler.plan())
    scheduler.add(Entry(1, 60, 90))
    scheduler.add(Entry(2, 3, 9))
    step = scheduler.plan()
    assert [e.id for e in step.decode] == [0]
    assert [(c.entry.id, c.start, c.stop, c.last) for c in step.chunks] == [(1, 0, 19, False)]
    for _ in range(3):
        scheduler.commit(step)
        step = scheduler.plan()
    assert [(c.entry.id, c.start, c.stop, c.last) for c in step.chunks] == [(1, 57, 60, True), (2, 0, 3, True)]


def test_a_prompt_goes_on_even_when_decode_rows_fill_the_budget() -> None:
    scheduler = make(slots=4, token_budget=2)
    for i in range(3):
        scheduler.add(Entry(i, 1, 20))
    for _ in range(3):
        scheduler.commit(scheduler.plan())
    scheduler.add(Entry(9, 40, 50))
    step = scheduler.plan()
    assert len(step.decode) == 3
    assert [(c.start, c.stop) for c in step.chunks] == [(0, SMALLEST_CHUNK)]


def test_a_sequence_moves_up_when_it_outgrows_its_class_and_the_gap_is_filled() -> None:
    scheduler = make(slots=3)
    for i, n in enumerate((7, 3, 4)):
        scheduler.add(Entry(i, n, 30))
    scheduler.commit(scheduler.plan())
    assert [(e.id, e.length_class, e.slot) for e in scheduler.running] == [(0, 0, 0), (1, 0, 1), (2, 0, 2)]
    scheduler.commit(scheduler.plan())
    scheduler.plan()
    assert {e.id: (e.length_class, e.slot) for e in scheduler.running} == {0: (1, 0), 1: (0, 1), 2: (0, 0)}


def test_sequences_wait_in_order_until_memory_is_free() -> None:
    scheduler = make(slots=8, budget=1500)
    scheduler.add(Entry(0, 40, 90))
    scheduler.add(Entry(1, 40, 90))
    scheduler.add(Entry(2, 2, 4))
    assert [e.id for e in scheduler.plan().admitted] == [0]
    scheduler.remove([e for e in scheduler.running if e.id == 0])
    assert [e.id for e in scheduler.plan().admitted] == [1, 2]


def test_a_sequence_that_can_never_fit_is_refused_with_the_numbers() -> None:
    with pytest.raises(
        DocumentError, match="90 tokens and up to 20 new ones are more than the 100 that one slot holds"
    ):
        make().add(Entry(0, 90, 110))
    with pytest.raises(DocumentError, match=r"need 0\.0 MB of KV memory, and 0\.0 MB are set aside"):
        make(budget=500).add(Entry(0, 40, 50))


def test_what_builds_on_a_prefix_waits_for_it() -> None:
    scheduler = make()
    prefix = Entry(-1, 30, 30)
    scheduler.add(prefix)
    scheduler.add(Entry(0, 35, 40, shared=30, after=prefix))
    for _ in range(2):
        step = scheduler.plan()
        assert [c.entry.id for c in step.chunks] == [-1]
        scheduler.commit(step)
    scheduler.remove([prefix])
    step = scheduler.plan()
    assert [(c.entry.id, c.start, c.stop) for c in step.chunks] == [(0, 30, 35)]


@pytest.mark.parametrize("wrong", [{"slots": 0}, {"token_budget": 0}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        make(**wrong)
    with pytest.raises(UsageError):
        Scheduler(FakeMemory(), (32, 8), slots=1, budget=1)
