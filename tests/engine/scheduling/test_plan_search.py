"""The search through plans, on made-up machines: it finds the best, keeps to its time, and never asks for too much."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from engine.api.plan import Plan
from engine.scheduling.plan_search import SAME, SLOTS, PlanSearch, Step, Taken, Tried, shapes

Surface = Callable[[Plan], float]
"""Texts a second of a plan."""


@dataclass
class Machine:
    """Runs steps on a surface, with a clock of its own."""

    surface: Surface
    seconds: float
    now: float = 0.0
    steps: list[Step] = field(default_factory=list)

    def run(self, search: PlanSearch, most: int = 10_000) -> list[Tried]:
        while len(self.steps) < most and (step := search.next()) is not None:
            self.steps.append(step)
            each = 1 / self.surface(step.plan)
            taken = min(step.texts * each, step.patience)
            whole = step.texts * each <= step.patience
            done = step.texts if whole else int(taken / each)
            self.now += taken
            search.tell(Taken(taken / done if done else math.inf, whole, 1_000, self.seconds - self.now))
        return search.ranked()


def more_workers(plan: Plan) -> float:
    return 20.0 * plan.workers**0.9 * plan.threads**0.5 * (1 + min(plan.slots, 32) / 32)


def more_threads(plan: Plan) -> float:
    return 20.0 * plan.workers**0.4 * plan.threads**0.9


def few_slots(plan: Plan) -> float:
    return 30.0 * plan.workers**0.9 / (1 + abs(plan.slots - 8) / 8)


def one_is_awful(plan: Plan) -> float:
    return 0.05 if plan.workers > 1 else 50.0


SURFACES = [more_workers, more_threads, few_slots, one_is_awful]


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 6, 8, 12, 64])
def test_no_plan_asks_for_more_cores_than_there_are_and_both_ends_are_tried(cores):
    found = shapes(cores)
    assert all(workers * threads <= cores for workers, threads in found)
    assert {(1, cores), (cores, 1)} <= set(found)
    assert len(found) == len(set(found)) <= 2 + cores.bit_length()


@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize("cores", [1, 2, 6, 16])
@pytest.mark.parametrize("surface", SURFACES)
def test_what_is_found_is_as_fast_as_the_best_of_all_plans(surface, cores, writes):
    search = PlanSearch(cores, "float32", 400, 60.0, writes=writes)
    best = Machine(surface, 60.0).run(search)[0].plan
    every = [
        Plan("cpu", workers, threads, "float32", slots)
        for workers, threads in shapes(cores)
        for slots in (SLOTS if writes else (0,))
    ]
    assert surface(best) >= max(map(surface, every)) / SAME


@pytest.mark.parametrize("seconds", [1.0, 5.0, 60.0])
@pytest.mark.parametrize("surface", SURFACES)
def test_no_step_is_longer_than_what_is_left_and_the_search_ends_in_time(surface, seconds):
    machine = Machine(surface, seconds)
    assert machine.run(PlanSearch(8, "float32", 400, seconds, writes=True))
    assert machine.now <= seconds + 1.1, "a second that something comes of the first plan"


def test_a_hopeless_plan_is_stopped_early_and_not_measured_again():
    def surface(plan: Plan) -> float:
        return 50.0 if plan.workers == 8 else 0.5

    machine = Machine(surface, 60.0)
    ranked = machine.run(PlanSearch(8, "float32", 400, 60.0, writes=False))
    assert [one.plan.workers for one in ranked if not one.stopped] == [8]
    slow = [step for step in machine.steps if step.plan.workers == 4]
    assert len(slow) == 1
    assert slow[0].patience < slow[0].texts / surface(slow[0].plan)


def test_a_plan_is_not_hopeless_because_its_first_texts_leave_slots_empty():
    """Two texts take a worker as long as thirty-two."""
    search = PlanSearch(2, "float32", 400, 90.0, writes=True)
    left = 90.0
    while (step := search.next()) is not None:
        rounds = math.ceil(step.texts / (step.plan.workers * step.plan.slots))
        taken = min(rounds * 1.0 * step.plan.workers, step.patience)
        whole = taken == rounds * step.plan.workers
        left -= taken
        search.tell(Taken(taken / step.texts if whole else math.inf, whole, 0, left))
    assert not any(one.stopped for one in search.tried if one.plan.slots >= 32)
    assert {one.plan.workers for one in search.tried} == {1, 2}


def test_of_plans_that_are_as_fast_the_one_with_the_least_slots_is_best():
    assert Machine(lambda _plan: 100.0, 60.0).run(PlanSearch(2, "float32", 400, 60.0, writes=True))[0].plan.slots == 8


def test_a_plan_that_does_not_fit_into_memory_is_never_run_and_told_with_its_numbers():
    search = PlanSearch(8, "float32", 400, 60.0, writes=True, need=lambda plan: plan.workers * plan.slots, room=64)
    machine = Machine(more_workers, 60.0)
    ranked = machine.run(search)
    assert all(step.plan.workers * step.plan.slots <= 64 for step in machine.steps)
    assert {(one.plan.workers, one.plan.slots, one.need, one.room) for one in search.left_out} >= {(8, 32, 256, 64)}
    assert ranked[0].plan.workers == 2


def test_where_no_usual_slots_fit_fewer_are_tried_and_where_nothing_fits_nothing_is_run():
    def need(plan: Plan) -> int:
        return plan.workers * plan.slots

    few = PlanSearch(2, "float32", 400, 60.0, writes=True, need=need, room=16)
    assert Machine(few_slots, 60.0).run(few)[0].plan == Plan("cpu", 1, 2, "float32", 8)
    none = PlanSearch(2, "float32", 400, 60.0, writes=True, need=need, room=4)
    machine = Machine(few_slots, 60.0)
    assert machine.run(none) == []
    assert machine.steps == []


@pytest.mark.parametrize("given_up", [3, 5, 9])
def test_a_search_that_is_given_up_knows_what_it_measured_so_far(given_up):
    machine = Machine(more_workers, 60.0)
    ranked = machine.run(PlanSearch(8, "float32", 400, 60.0, writes=False), given_up)
    assert ranked
    assert {one.plan for one in ranked} == {step.plan for step in machine.steps if step.counts}
