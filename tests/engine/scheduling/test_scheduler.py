"""The scheduler in random worlds: nothing lost, nothing twice, priority kept, no starvation, slots never over-committed.

The world below is the owner of a scheduler. It knows where every document and every item is, without looking into the
scheduler, and plays the workers: they take work, bring it back in any order, hand it back, and are lost.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.requests.item import WorkItem
from engine.scheduling.policies import LengthBatches, Slots
from engine.scheduling.scheduler import Scheduler
from engine.scheduling.work import Count, More, Read, Run, SetUp

PRIORITIES = (0, 0, 1, 5)
TOPMOST = 99
PATIENCE = 3000


@dataclass(eq=False)
class Pile:
    """One job as its owner knows it."""

    priority: int
    created: int
    open: bool = False
    expecting: bool = False
    set_up: bool = True
    unread: set[int] = field(default_factory=set)
    suspects: set[int] = field(default_factory=set)
    marked: set[int] = field(default_factory=set)
    """Suspects, wherever they are."""
    ready: dict[int, WorkItem] = field(default_factory=dict)
    """Items that wait, by identity."""
    unfinished: set[int] = field(default_factory=set)
    """Long documents of which more items are to be made."""
    uncounted: set[int] = field(default_factory=set)
    over: set[int] = field(default_factory=set)
    done: Counter[int] = field(default_factory=Counter)
    """How often each document was read to its end."""
    added: Counter[int] = field(default_factory=Counter)

    @property
    def works(self) -> bool:
        return bool(self.unread or self.suspects or self.unfinished or self.ready)

    @property
    def order(self) -> tuple[int, int]:
        return (-self.priority, self.created)


@dataclass(eq=False)
class Held:
    """A piece of work that a worker has."""

    work: Read | More | SetUp | Run | Count
    pile: Pile
    items: dict[int, WorkItem] = field(default_factory=dict)
    """Items of a run that did not come to their end."""
    withdrawn: set[int] = field(default_factory=set)
    suspects: set[int] = field(default_factory=set)
    stale: bool = False
    """A count or a set-up that another one has replaced."""


def documents(work):
    if isinstance(work, SetUp):
        return ()
    return [item.document for item in work.items] if isinstance(work, Run) else work.documents


class World(RuleBasedStateMachine):
    """Random arrivals, priorities, faults and withdrawals."""

    def __init__(self):
        super().__init__()
        self.scheduler = Scheduler()
        self.piles: dict[str, Pile] = {}
        self.held: list[list[Held]] = []
        self.alive: list[bool] = []
        self.number = 0
        self.made = 0
        self.kept_items: list[WorkItem] = []
        """Every item there ever was, so that no two have one identity."""

    # ------------------------------------------------------------------------------------------------------ what happens
    @initialize(data=st.data())
    def begin(self, data):
        self.new_workers(data)
        for _ in range(data.draw(st.integers(1, 2))):
            self.new_job(data)

    def policies(self):
        return st.one_of(
            st.builds(LengthBatches, st.sampled_from((1, 64, 600)), st.booleans()), st.builds(Slots, st.integers(1, 4))
        )

    @precondition(lambda self: not any(self.alive))
    @rule(data=st.data())
    def new_workers(self, data):
        count, self.policy = data.draw(st.integers(1, 3)), data.draw(self.policies())
        self.scheduler.set_workers(count, self.policy)
        self.held, self.alive = [[] for _ in range(count)], [True] * count

    @rule(data=st.data())
    def another_plan(self, data):
        for worker, alive in enumerate(self.alive):
            if alive:
                self.lose(worker)
        self.new_workers(data)

    @precondition(lambda self: len(self.piles) < 4)
    @rule(data=st.data())
    def new_job(self, data):
        name = f"job {self.made}"
        self.made += 1
        pile = Pile(data.draw(st.sampled_from(PRIORITIES)), self.made)
        self.scheduler.add_job(name, pile.priority, pile.created)
        self.piles[name] = pile
        pile.set_up = not data.draw(st.booleans())
        self.scheduler.need_set_up(name, needed=not pile.set_up)
        if data.draw(st.integers(0, 3)):
            pile.open = True
            self.scheduler.open(name)
        self.arrive(data, name)

    def job(self, data):
        return data.draw(st.sampled_from(sorted(self.piles)))

    def workers(self):
        return [worker for worker, alive in enumerate(self.alive) if alive]

    def of(self, pile):
        return [held for worker in self.held for held in worker if held.pile is pile]

    @precondition(lambda self: self.piles)
    @rule(data=st.data())
    def arrive(self, data, name=None):
        name = name or self.job(data)
        suspect = data.draw(st.integers(0, 4)) == 0
        count = data.draw(st.integers(1, 2 if suspect else 40))
        numbers = range(self.number, self.number + count)
        self.number += count
        size = data.draw(st.sampled_from((1, 1 << 19)))
        self.scheduler.add_documents(name, [(number, size) for number in numbers], suspect=suspect)
        pile = self.piles[name]
        (pile.suspects if suspect else pile.unread).update(numbers)
        pile.added.update(numbers)
        if suspect:
            pile.marked.update(numbers)

    @precondition(lambda self: any(pile.over for pile in self.piles.values()))
    @rule(data=st.data())
    def run_again(self, data):
        """A document that is over waits anew: a retry, or the next step of its task."""
        name, pile = next((name, pile) for name, pile in self.piles.items() if pile.over)
        number = data.draw(st.sampled_from(sorted(pile.over)))
        pile.over.discard(number)
        pile.added[number] += 1
        suspect = number in pile.marked
        self.scheduler.add_documents(name, [(number, 1)], suspect=suspect)
        (pile.suspects if suspect else pile.unread).add(number)

    @precondition(lambda self: self.piles)
    @rule(data=st.data())
    def open_or_close(self, data):
        name = self.job(data)
        pile = self.piles[name]
        pile.open = not pile.open
        (self.scheduler.open if pile.open else self.scheduler.close)(name)

    @precondition(lambda self: self.piles)
    @rule(data=st.data())
    def change_priority(self, data):
        name = self.job(data)
        self.piles[name].priority = data.draw(st.sampled_from(PRIORITIES))
        self.scheduler.set_priority(name, self.piles[name].priority)

    @precondition(lambda self: self.piles)
    @rule(data=st.data())
    def expect(self, data):
        name = self.job(data)
        self.piles[name].expecting = data.draw(st.booleans())
        self.scheduler.expect(name, more=self.piles[name].expecting)

    @precondition(lambda self: self.piles)
    @rule(data=st.data())
    def need_set_up(self, data):
        name = self.job(data)
        pile = self.piles[name]
        pile.set_up = False
        for held in self.of(pile):
            held.stale |= isinstance(held.work, SetUp)
        self.scheduler.need_set_up(name, needed=True)

    @precondition(lambda self: self.piles)
    @rule(data=st.data())
    def count(self, data):
        name = self.job(data)
        pile = self.piles[name]
        wanted = data.draw(st.sets(st.sampled_from(sorted(pile.unread) or [-1]), max_size=50)) - {-1}
        pile.uncounted = set(wanted)
        for held in self.of(pile):
            held.stale |= isinstance(held.work, Count)
        self.scheduler.count(name, dict.fromkeys(sorted(wanted), 1))

    @precondition(lambda self: self.piles)
    @rule(data=st.data())
    def withdraw(self, data):
        name = self.job(data)
        pile = self.piles[name]
        known = sorted(pile.added)
        if not known:
            return
        gone = data.draw(st.sets(st.sampled_from(known), min_size=1, max_size=5))
        self.forget(pile, gone)
        self.scheduler.withdraw(name, gone)

    def forget(self, pile, gone):
        for waiting in (pile.unread, pile.suspects, pile.unfinished, pile.uncounted, pile.over, pile.marked):
            waiting -= gone
        pile.ready = {key: item for key, item in pile.ready.items() if item.document not in gone}
        for number in gone:
            pile.added.pop(number, None)
            pile.done.pop(number, None)
        for held in self.of(pile):
            held.withdrawn |= gone

    @precondition(lambda self: self.piles)
    @rule(data=st.data())
    def clear(self, data):
        name = self.job(data)
        pile = self.piles[name]
        self.forget(pile, set(pile.added))
        for held in self.of(pile):
            held.stale |= isinstance(held.work, SetUp | Count)
        self.scheduler.clear(name)

    @precondition(lambda self: self.piles)
    @rule(data=st.data())
    def remove_job(self, data):
        """A job goes, and one of the same name may come at once."""
        name = self.job(data)
        pile = self.piles.pop(name)
        self.forget(pile, set(pile.added))
        self.scheduler.remove_job(name)
        if data.draw(st.booleans()):
            self.piles[name] = Pile(pile.priority, pile.created)
            self.scheduler.add_job(name, pile.priority, pile.created)
            self.scheduler.need_set_up(name, needed=False)

    # ---------------------------------------------------------------------------------------------------------- the workers
    @precondition(lambda self: any(self.alive))
    @rule(data=st.data())
    def ask(self, data):
        self.ask_for(data.draw(st.sampled_from(self.workers())))

    @precondition(lambda self: any(self.alive))
    @rule()
    def ask_for_all(self):
        for worker in self.workers():
            for _ in range(20):
                if self.ask_for(worker) is None:
                    break

    @precondition(lambda self: any(self.held))
    @rule(data=st.data())
    def give_back(self, data):
        worker, held = self.some_held(data)
        self.come_back(worker, held, data.draw(st.integers(0, 1000)))

    @precondition(lambda self: any(self.held))
    @rule(data=st.data())
    def complete_some(self, data):
        worker, held = self.some_held(data)
        for item in list(held.items.values())[: data.draw(st.integers(1, 3))]:
            self.end_item(worker, held, item)

    @precondition(lambda self: any(self.held))
    @rule(data=st.data())
    def hand_back(self, data):
        worker, held = self.some_held(data)
        self.held[worker].remove(held)
        self.wait_again(held)
        self.scheduler.hand_back(worker, held.work)

    @precondition(lambda self: any(self.alive))
    @rule(data=st.data())
    def lose_one(self, data):
        self.lose(data.draw(st.sampled_from(self.workers())))

    def lose(self, worker):
        mine, self.held[worker], self.alive[worker] = self.held[worker], [], False
        expected = {id(held.work): self.wait_again(held) for held in mine}
        given = self.scheduler.lost(worker)
        assert {id(work): {id(item) for item in items} for work, items in given} == expected

    def some_held(self, data):
        return data.draw(st.sampled_from([(w, held) for w, mine in enumerate(self.held) for held in mine]))

    def wait_again(self, held):
        """Take in that unfinished work waits again; returns the identities of the items that do."""
        pile, work = held.pile, held.work
        if pile not in self.piles.values():
            return set()
        if isinstance(work, Run):
            back = {key: item for key, item in held.items.items() if item.document not in held.withdrawn}
            pile.ready.update(back)
            return set(back)
        left = set(documents(work)) - held.withdrawn
        if isinstance(work, Read):
            pile.suspects |= left & pile.marked
            pile.unread |= left - pile.marked
        elif isinstance(work, More):
            pile.unfinished |= left
        elif isinstance(work, Count) and not held.stale:
            pile.uncounted |= left
        return set()

    def ask_for(self, worker):
        load = self.scheduler.load(worker)
        busy = [held for mine in self.held for held in mine]
        work = self.scheduler.next(worker)
        if work is None:
            return None
        assert self.alive[worker]
        pile = self.piles[work.job]
        held = Held(work, pile)
        if isinstance(work, Read | More | Run):
            held.suspects = set(documents(work)) & pile.marked
        if isinstance(work, Count):
            assert not load.works, "only idle workers count"
            assert set(work.documents) <= pile.uncounted
            pile.uncounted -= set(work.documents)
            assert len(set(work.documents)) == len(work.documents)
        else:
            assert pile.open, "nothing of a closed job is handed out"
            self.check_priority(worker, work, pile, load)
            self.check_suspects(work, pile, busy)
        if isinstance(work, Read):
            assert len(set(work.documents)) == len(work.documents)
            assert set(work.documents) <= pile.unread | pile.suspects, "nothing is read twice"
            pile.unread -= set(work.documents)
            pile.suspects -= set(work.documents)
            assert work.alone == bool(held.suspects)
        elif isinstance(work, More):
            assert set(work.documents) <= pile.unfinished, "no rest is made twice"
            pile.unfinished -= set(work.documents)
        elif isinstance(work, SetUp):
            assert not pile.set_up
            twice = [one for one in self.of(pile) if isinstance(one.work, SetUp) and not one.stale]
            assert not twice, "a job is set up once"
        elif isinstance(work, Run):
            assert pile.set_up
            assert work.items
            for item in work.items:
                assert pile.ready.pop(id(item), None) is item, "no item runs twice"
                held.items[id(item)] = item
            self.check_batch(work)
        self.held[worker].append(held)
        self.check_load(worker)
        return held

    def come_back(self, worker, held, chance):
        """A worker is through with ``held``."""
        pile, work = held.pile, held.work
        known = pile in self.piles.values()
        if isinstance(work, Read | More) and known:
            made = []
            for number in work.documents:
                if number in held.withdrawn:
                    continue
                parts = (number + chance) % 4
                pile.done[number] += isinstance(work, Read)
                if (number + chance) % 5 == 0 and isinstance(work, Read):
                    pile.unfinished.add(number)
                    self.scheduler.add_unfinished(work.job, number)
                elif not parts:
                    self.end_part(pile, number)
                length = 1 + (number * 31 + chance * 17) % 300
                made += [WorkItem(number, part, parts, np.zeros(length, np.int32)) for part in range(parts)]
            self.kept_items += made
            pile.ready.update((id(item), item) for item in made)
            self.scheduler.add_items(work.job, made)
        elif isinstance(work, SetUp) and known and not held.stale and chance % 4:
            pile.set_up = True
            self.scheduler.finish_set_up(work.job)
        for item in list(held.items.values()):
            self.end_item(worker, held, item)
        self.held[worker].remove(held)
        self.scheduler.returned(worker, work)
        self.scheduler.returned(worker, work)  # told twice, it counts once

    def end_item(self, worker, held, item):
        del held.items[id(item)]
        self.scheduler.completed(worker, item)
        pile, number = held.pile, item.document
        if number not in held.withdrawn and number in pile.added:
            self.end_part(pile, number)

    def end_part(self, pile, number):
        """A document is over when nothing of it is left anywhere."""
        left = number in pile.unfinished or any(i.document == number for i in pile.ready.values())
        left |= any(i.document == number for one in self.of(pile) for i in one.items.values())
        if not left:
            pile.over.add(number)

    # ------------------------------------------------------------------------------------------------------------ properties
    def check_priority(self, worker, work, pile, load):
        """Nobody gets work of a job while one before it has something for this worker, or is being read by it."""
        for held in self.held[worker]:
            reads = isinstance(held.work, Read | More | SetUp) and held.pile in self.piles.values()
            assert not reads or held.pile.priority <= pile.priority, "what a worker reads comes before the less urgent"
        suspect = isinstance(work, Read | More | Run) and set(documents(work)) & pile.marked
        for name, other in self.piles.items():
            if not other.open or other is pile or (not suspect and other.order > pile.order):
                continue
            plain = [item for item in other.ready.values() if item.document not in other.marked]
            waits = other.unread | (other.unfinished - other.marked)
            reads = self.policy.takes_reading(load) and waits and not plain
            assert not reads, f"{name} is read before {work.job}"
            runs = other.set_up and plain and self.policy.takes_items(load)
            assert not runs, f"{name} runs before {work.job}"
        if suspect:
            assert not pile.unread
            assert not [item for item in pile.ready.values() if item.document not in pile.marked] or not pile.set_up

    def check_suspects(self, work, pile, busy):
        """A suspect has the engine to itself, from reading to its last item."""
        for held in busy:
            assert not held.suspects, "nothing runs beside a suspect"
        mine = set(documents(work)) & pile.marked
        if mine:
            assert not busy, "a suspect begins when nothing runs"
            assert len(set(documents(work))) == 1

    def check_batch(self, work):
        if isinstance(self.policy, LengthBatches):
            lengths = [len(item.ids) for item in work.items]
            cost = len(lengths) * max(lengths) if self.policy.padded else sum(lengths)
            assert len(lengths) == 1 or cost <= max(self.policy.budget, 256)

    def check_load(self, worker):
        load, mine = self.scheduler.load(worker), self.held[worker]
        items = [item for held in mine for item in held.items.values()]
        assert load.works == len(mine)
        assert load.items == len(items)
        assert load.tokens == sum(len(item.ids) for item in items)
        if isinstance(self.policy, Slots):
            assert load.items <= self.policy.slots, "slots are never promised twice"
            assert sum(not isinstance(held.work, Run) for held in mine) <= 1
        else:
            assert load.works <= 2, "one piece of work that runs, one that waits"

    @invariant()
    def nothing_is_lost_and_nothing_is_there_twice(self):
        for name, pile in self.piles.items():
            unread, ready = self.scheduler.waiting(name)
            assert (unread, ready) == (len(pile.unread) + len(pile.suspects), len(pile.ready)), name
            out = [held for held in self.of(pile) if not isinstance(held.work, Count)]
            assert self.scheduler.under_way(name) == len(out)
            assert self.scheduler.is_idle(name) == (not pile.works and not out and not pile.expecting)
            counting = any(isinstance(held.work, Count) for held in self.of(pile))
            assert self.scheduler.is_counting(name) == bool(pile.uncounted or counting)
        assert self.scheduler.alive == sum(self.alive)

    @precondition(lambda self: any(self.alive))
    @rule()
    def an_interactive_item_is_in_the_next_work(self):
        """One that has the highest priority and is ready; in the next work of the worker that it is meant for."""
        name = f"job {self.made}"
        self.made += 1
        item = WorkItem(self.number, 0, 1, np.zeros(7, np.int32))
        self.number += 1
        self.kept_items.append(item)
        pile = Pile(TOPMOST, 0, open=True)
        self.piles[name] = pile
        self.scheduler.add_job(name, TOPMOST, 0)
        self.scheduler.need_set_up(name, needed=False)
        self.scheduler.open(name)
        pile.ready[id(item)] = item
        pile.added[item.document] += 1
        self.scheduler.add_items(name, [item])
        for _ in range(PATIENCE):
            given = [(worker, held) for worker in self.workers() if (held := self.ask_for(worker)) is not None]
            if given:
                worker, held = given[0]
                assert held.work.job == name
                assert list(held.items.values()) == [item]
                break
            # Nobody had room for it, or a suspect is alone: something has to come back first.
            worker, oldest = next((w, mine[0]) for w, mine in enumerate(self.held) if mine)
            self.come_back(worker, oldest, 1)
        else:
            raise AssertionError("nobody took it")
        del self.piles[name]
        self.scheduler.remove_job(name)

    def teardown(self):
        """No starvation: with every job open and one worker left, all that waits comes to its end, and nothing else runs."""
        if not self.alive:
            return
        if not any(self.alive):
            self.scheduler.set_workers(1, self.policy)
            self.held, self.alive = [[]], [True]
        for name, pile in self.piles.items():
            pile.open, pile.expecting = True, False
            self.scheduler.open(name)
            self.scheduler.expect(name, more=False)
        for _ in range(PATIENCE):
            given = [held for worker in self.workers() if (held := self.ask_for(worker)) is not None]
            if given:
                continue
            if not any(self.held):
                break
            worker, oldest = next((w, mine[0]) for w, mine in enumerate(self.held) if mine)
            self.come_back(worker, oldest, 1)
        for name, pile in self.piles.items():
            self.nothing_is_lost_and_nothing_is_there_twice()
            assert not pile.works, f"{name} was left behind"
            assert not pile.uncounted
            assert self.scheduler.is_idle(name)
            assert pile.done == pile.added, "everything is read once for every time that it was added"
            assert pile.over == set(pile.added)


World.TestCase.settings = settings(
    max_examples=200,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
TestRandomWorlds = World.TestCase


def test_the_scheduler_needs_no_torch_no_threads_no_qt_and_no_clock():
    code = (
        "import sys; before = set(sys.modules); import engine.scheduling.scheduler; new = set(sys.modules) - before;"
        "print(*sorted(name.split('.')[0] for name in new))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    assert "engine" in loaded
    for name in ("torch", "transformers", "PySide6", "sqlite3", "multiprocessing", "asyncio"):
        assert name not in loaded


def scheduler_with(job: str, *, workers: int, policy, priority: int = 0, into: Scheduler | None = None) -> Scheduler:
    """Return a scheduler with one open job that needs no set-up."""
    scheduler = into or Scheduler()
    if into is None:
        scheduler.set_workers(workers, policy)
    scheduler.add_job(job, priority)
    scheduler.need_set_up(job, needed=False)
    scheduler.open(job)
    return scheduler


def item(document: int, tokens: int) -> WorkItem:
    return WorkItem(document, 0, 1, np.zeros(tokens, np.int32))


def test_a_slot_that_is_meant_for_a_less_busy_worker_goes_to_no_less_urgent_job():
    scheduler = scheduler_with("urgent", workers=2, policy=Slots(2), priority=1)
    scheduler_with("other", workers=2, policy=Slots(2), into=scheduler)
    scheduler.add_items("urgent", [item(1, 100)])
    assert isinstance(scheduler.next(0), Run)
    scheduler.add_items("urgent", [item(2, 50)])
    scheduler.add_items("other", [item(number, 200) for number in range(3, 9)])
    assert scheduler.next(0) is None, "the second urgent text is for worker 1, and comes before the other job's"
    work = scheduler.next(1)
    assert isinstance(work, Run)
    assert [one.document for one in work.items] == [2]
    assert [scheduler.next(0), scheduler.next(1)] != [None, None]


def test_a_worker_that_reads_an_urgent_job_gets_nothing_less_urgent_behind_it():
    scheduler = scheduler_with("old", workers=2, policy=LengthBatches(100))
    scheduler.add_items("old", [item(number, 100) for number in range(1, 9)])
    assert [type(scheduler.next(worker)) for worker in (0, 1)] == [Run, Run]
    scheduler_with("urgent", workers=2, policy=LengthBatches(100), priority=1, into=scheduler)
    scheduler.add_documents("urgent", [(9, 10)])
    runs, reads = scheduler.works(0)[0], scheduler.next(0)
    assert isinstance(reads, Read)
    scheduler.returned(0, runs)
    assert scheduler.next(0) is None, "it would run before the urgent text"
    assert isinstance(scheduler.next(1), Run), "the other worker does not stand still"
    scheduler.add_items("urgent", [item(9, 100)])
    scheduler.returned(0, reads)
    first = scheduler.next(0)
    assert first is not None
    assert first.job == "urgent"


def test_a_count_that_was_ended_does_not_begin_again_when_its_worker_is_lost():
    scheduler = scheduler_with("job", workers=1, policy=LengthBatches(100))
    scheduler.close("job")
    scheduler.count("job", dict.fromkeys(range(50), 1))
    assert isinstance(scheduler.next(0), Count)
    scheduler.count("job", {})
    scheduler.lost(0)
    assert not scheduler.is_counting("job")


def test_a_count_whose_worker_is_lost_goes_on_with_what_it_had():
    scheduler = scheduler_with("job", workers=2, policy=LengthBatches(100))
    scheduler.close("job")
    scheduler.count("job", dict.fromkeys(range(50), 1))
    first = scheduler.next(0)
    assert isinstance(first, Count)
    scheduler.lost(0)
    counted: list[int] = []
    while isinstance(work := scheduler.next(1), Count):
        counted += work.documents
        scheduler.returned(1, work)
    assert sorted(counted) == list(range(50))
