"""Which plan to measure next, when one is hopeless, and when to stop. Pure: no threads, torch or clock."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from engine.api.plan import Plan

SLOTS = (32, 64, 16, 8)
"""Slots that are tried, the usual first."""
HOPELESS = 1.6
"""Plans that take so many times as long as the best are not measured again; they are stopped as soon as they do."""
SAME = 1.03
"""Plans that are slower by less are as fast: the one with the least slots, and so memory, is taken."""

_FIRST, _AGAIN = 1 / 60, 1 / 30
"""Share of the whole time that one run of a plan takes, the first and later ones."""
_MOST = 1 / 4
"""Share of the time that is left that one run is planned to take at most, however many slots want to be filled."""
_UNKNOWN = 1 / 2
"""Share of the time that is left after which a plan is given up while no other is known."""
_FINALISTS, _ROUNDS = 3, 2


@dataclass(frozen=True, slots=True)
class Step:
    """Run ``texts`` texts with ``plan`` and stop it after ``patience`` seconds; ``counts`` unless it only warms up."""

    plan: Plan
    texts: int
    patience: float
    counts: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """What a step took: seconds a text (infinite when none was done), whether all were done, bytes in memory, seconds left."""

    seconds: float
    whole: bool
    memory: int
    left: float


@dataclass(slots=True)
class Tried:
    """A plan and the seconds that a text took with it, in each run; ``memory`` in bytes; ``stopped`` as hopeless."""

    plan: Plan
    seconds: list[float] = field(default_factory=list)
    memory: int = 0
    stopped: bool = False

    @property
    def typical(self) -> float:
        """The median of the runs."""
        return statistics.median(self.seconds)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A plan that was not tried: it needs ``need`` bytes where there are ``room``."""

    plan: Plan
    need: int
    room: int


def shapes(cores: int) -> list[tuple[int, int]]:
    """Return the (workers, threads) worth trying on so many cores, most workers first; none asks for more than there are."""
    workers = {cores, 1} | {2**power for power in range(cores.bit_length()) if 2**power <= cores}
    if cores > 2:
        workers.add(cores - 1)  # one core stays free
    return [(count, cores // count) for count in sorted(workers, reverse=True)]


class PlanSearch:
    """The way through the plans of one model: ask for the ``next`` step, run it, ``tell`` what it took.

    All shapes are tried once with the usual slots, then the best shape with other slots, then the best plans again in
    turns. What was told stays in ``tried`` when the search is given up in the middle.
    """

    def __init__(
        self,
        cores: int,
        dtype: str,
        texts: int,
        seconds: float,
        *,
        writes: bool,
        need: Callable[[Plan], int] | None = None,
        room: int = 0,
    ) -> None:
        """Search for ``seconds`` on ``cores`` cores with ``texts`` different texts; writers have slots to choose.

        ``need`` gives the bytes that a plan takes beside what is loaded; one that takes more than ``room`` is never tried.
        """
        self._cores, self._dtype, self._texts, self._seconds = cores, dtype, texts, seconds
        self._writes, self._need, self._room = writes, need, room
        self.tried: list[Tried] = []
        self.left_out: list[LeftOut] = []
        self._left = seconds
        self._warm = math.inf
        """Seconds of the shortest warming up: few texts leave slots empty, and take as long as one."""
        self._way = self._steps()
        self._step = next(self._way, None)

    def next(self) -> Step | None:
        """Return what to run next, and ``tell`` then; None at the end."""
        return self._step

    def tell(self, taken: Taken) -> None:
        """Take what the step took."""
        self._left = taken.left
        try:
            self._step = self._way.send(taken)
        except StopIteration:
            self._step = None

    def ranked(self) -> list[Tried]:
        """Return the plans that were measured so far, the best first."""
        order = sorted(self.tried, key=lambda one: (one.stopped, one.typical))
        if not order:
            return []
        equal = [one for one in order if not one.stopped and one.typical <= SAME * order[0].typical]
        best = min(equal, key=lambda one: (one.plan.slots, one.typical), default=order[0])
        return [best, *(one for one in order if one is not best)]

    # Each step is yielded, and what it took comes back: the search reads as what it does.

    def _steps(self) -> Generator[Step, Taken, None]:
        first = SLOTS[0] if self._writes else 0
        for workers, threads in shapes(self._cores):
            yield from self._try(Plan("cpu", workers, threads, self._dtype, first))
        if self._writes:
            # Where the usual slots fit no shape, fewer may still fit the smallest.
            best = min(self.tried, key=lambda one: one.typical).plan if self.tried else Plan("cpu", 1, self._cores)
            for slots in SLOTS[1:]:
                # More slots than a worker has texts change nothing.
                if slots < first or self._texts / best.workers > first:
                    yield from self._try(Plan("cpu", best.workers, best.threads, self._dtype, slots))
        good = sorted((one for one in self.tried if not one.stopped), key=lambda one: one.typical)
        finalists = [one for one in good[:_FINALISTS] if one.typical <= HOPELESS * good[0].typical]
        if len(finalists) > 1:
            for turn in range(_ROUNDS):
                for one in finalists if turn % 2 == 0 else reversed(finalists):
                    if self._left > 0:
                        yield from self._measure(one, _AGAIN * self._seconds)

    def _try(self, plan: Plan) -> Generator[Step, Taken, None]:
        if self.tried and self._left <= 0:
            return
        if self._need is not None and (need := self._need(plan)) > self._room:
            self.left_out.append(LeftOut(plan, need, self._room))
            return
        one = Tried(plan)
        yield from self._measure(one, _FIRST * self._seconds)
        if one.seconds:
            self.tried.append(one)

    def _measure(self, one: Tried, seconds: float) -> Generator[Step, Taken, None]:
        """Run texts with a plan for about ``seconds``; what the end of the time cuts off counts for the first plan only."""
        plan = one.plan
        guess = self._best()
        if not one.seconds:
            # Buffers are made, and kernels chosen, with the first batches. The first plan of all then shows how long a text takes.
            for texts in (2, 8) if math.isinf(guess) else (2,):
                count = min(self._texts, texts * plan.workers)
                told = yield Step(plan, count, self._patience(self._warm), counts=False)
                if not told.whole or (told.left <= 0 and not self.tried):
                    if told.left > 0 or not self.tried:
                        one.seconds.append(told.seconds)
                        one.stopped = not told.whole
                    return
                if texts == 2:
                    self._warm = min(self._warm, told.seconds * count)
                guess = min(guess, told.seconds) if math.isinf(self._best()) else guess
        # Enough for every slot, and for a run whose ends count little; but no run takes most of the time.
        wanted = max(plan.workers * max((plan.slots or 8) * 5 // 4, 16), round(seconds / guess))
        count = max(2 * plan.workers, min(wanted, int(_MOST * max(self._left, 0.0) / guess)))
        told = yield Step(plan, count, self._patience(self._best() * count), counts=True)
        if not told.whole and self.tried and told.left <= 0:
            return  # out of time, which says nothing of the plan
        one.seconds.append(told.seconds)
        one.stopped = one.stopped or not told.whole
        one.memory = max(one.memory, told.memory)

    def _best(self) -> float:
        return min((each.typical for each in self.tried if not each.stopped), default=math.inf)

    def _patience(self, usual: float) -> float:
        """Return the seconds after which a run that takes the best plan ``usual`` seconds is hopeless, of those left.

        While no plan is known to be any good, it is a share, so that each gets its turn, however bad the ones before.
        """
        if math.isinf(self._best()):
            return max(1.0, _UNKNOWN * self._left)
        return max(0.05, min(self._left, HOPELESS * usual + 1.0))
