"""The best plan for a model and a pile: workers, threads and slots, measured on the pile's own texts."""

from __future__ import annotations

import json
import statistics
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, TypeVar

from engine.api.plan import Plan
from engine.api.state import State
from engine.documents.document import Source
from engine.documents.read import read_all
from engine.documents.walk import Walk
from engine.engine import Engine
from engine.errors import DocumentError, HeddleError, UsageError
from engine.models.fingerprint import fingerprint
from engine.models.place import model_place
from engine.requests.capability import GENERATE
from engine.telemetry import machine, measured_plans

Thing = TypeVar("Thing")

TEXTS = 400
"""Texts of the pile that are measured with, at most."""

_ROWS = 40_000
"""Rows of tables that are read to choose from, at most."""
_LONGEST = 20_000
"""Characters of one: a book would be all that a plan gets to do."""
_FIRST, _AGAIN = 1 / 60, 1 / 30
"""Share of the whole time that one run of a plan takes, the first and later ones."""
_HOPELESS = 1.6
"""Plans that take so many times as long as the best are not measured again; they are stopped as soon as they do."""
_SAME = 1.03
"""Plans that are slower by less are as fast: the one with the least slots, and so memory, is taken."""
_FINALISTS, _ROUNDS = 3, 2
_NEW_TOKENS = 32
_SLOTS = (32, 64, 16, 8)
"""Slots that are tried, the usual first."""


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


def shapes(cores: int) -> list[tuple[int, int]]:
    """Return the (workers, threads) worth trying on so many cores, most workers first; none asks for more than there are."""
    workers = {cores, 1} | {2**power for power in range(cores.bit_length()) if 2**power <= cores}
    if cores > 2:
        workers.add(cores - 1)  # one core stays free
    return [(count, cores // count) for count in sorted(workers, reverse=True)]


def texts_of(paths: Sequence[str]) -> list[str]:
    """Return texts of documents at ``paths``, evenly from all files and rows; raises UsageError where there are none."""
    files = _evenly([found for found in Walk().walk(paths) if isinstance(found, Source)], 2 * TEXTS)
    found: list[str] = []
    for source in files:
        try:
            for _, text in islice(read_all(source), max(1, _ROWS // len(files))):
                words = text.text if text.long is None else text.long.head(_LONGEST)
                if words.strip():
                    found.append(words[:_LONGEST])
        except DocumentError:
            continue
    if not found:
        raise UsageError("There is no text to measure with in what was given.")
    return _evenly(found, TEXTS)


def _evenly(things: list[Thing], count: int) -> list[Thing]:
    step = max(1.0, len(things) / count)
    return [things[int(place * step)] for place in range(min(count, len(things)))]


class PlanBench:
    """Measures plans of one open model."""

    def __init__(
        self, engine: Engine, texts: Sequence[str], dtype: str, seconds: float, say: Callable[[str], None]
    ) -> None:
        """Measure with ``texts`` on ``engine`` for about ``seconds``; ``say`` is told a line for each run."""
        loaded = engine.manager.loaded
        assert loaded is not None
        self._engine, self._texts, self._dtype, self._say = engine, texts, dtype, say
        self.writes = GENERATE in loaded.facts.capabilities
        self._seconds, self._end = seconds, time.monotonic() + seconds
        self.tried: list[Tried] = []

    def run(self) -> list[Tried]:
        """Try all plans once, the best again in turns; returns them, the best first."""
        cores = machine.core_count()
        first = _SLOTS[0] if self.writes else 0
        for workers, threads in shapes(cores):
            self._try(Plan("cpu", workers, threads, self._dtype, first))
        if self.writes:
            best = min(self.tried, key=lambda one: one.typical).plan
            for slots in _SLOTS[1:]:
                # More slots than a worker has texts change nothing.
                if slots < first or len(self._texts) / best.workers > first:
                    self._try(Plan("cpu", best.workers, best.threads, self._dtype, slots))
        ranked = sorted((one for one in self.tried if not one.stopped), key=lambda one: one.typical)
        finalists = [one for one in ranked[:_FINALISTS] if one.typical <= _HOPELESS * ranked[0].typical]
        if len(finalists) > 1:
            for turn in range(_ROUNDS):
                for one in finalists if turn % 2 == 0 else reversed(finalists):
                    if time.monotonic() < self._end:
                        self._measure(one, _AGAIN * self._seconds)
        ranked = sorted(self.tried, key=lambda one: (one.stopped, one.typical))
        equal = [one for one in ranked if not one.stopped and one.typical <= _SAME * ranked[0].typical]
        best = min(equal, key=lambda one: (one.plan.slots, one.typical), default=ranked[0])
        return [best, *(one for one in ranked if one is not best)]

    def _try(self, plan: Plan) -> None:
        if self.tried and time.monotonic() >= self._end:
            return
        one = Tried(plan)
        self._measure(one, _FIRST * self._seconds)
        if one.seconds:
            self.tried.append(one)

    def _measure(self, one: Tried, seconds: float) -> None:
        """Run texts with a plan for about ``seconds``; what the end of the whole time cuts off counts for the first plan only."""
        self._engine.set_plan(one.plan).result()
        if not one.seconds:  # buffers are made, and kernels chosen, with the first batches
            self._once(self._texts[: 2 * one.plan.workers], self._left())
        known = [each.typical for each in self.tried if each.seconds]
        guess = min(known, default=0.0) or self._once(self._texts[: 8 * one.plan.workers], self._left())[0]
        # Enough for every slot, and for a run whose ends count little.
        least = one.plan.workers * max((one.plan.slots or 8) * 5 // 4, 16)
        count = max(least, round(seconds / guess))
        texts = [self._texts[place % len(self._texts)] for place in range(count)]
        left = self._left()
        hopeless = _HOPELESS * min(known) * count + 1.0 if known else left
        taken, whole = self._once(texts, min(hopeless, left))
        if not whole and known and left < hopeless:
            return  # out of time, which says nothing of the plan
        one.seconds.append(taken)
        one.stopped = one.stopped or (not whole and bool(known))
        one.memory = max(one.memory, self._engine.snapshot().meters.rss)
        self._say(_line(one))

    def _left(self) -> float:
        """Return the seconds that are left, and a little to come to something."""
        return max(1.0, self._end - time.monotonic())

    def _once(self, texts: Sequence[str], patience: float) -> tuple[float, bool]:
        """Run these texts; returns the seconds a text, and whether all were done before patience ended."""
        engine, job = self._engine, uuid.uuid4().hex
        engine.create_job(job)
        engine.add_texts(job, [(f"{place}.txt", text) for place, text in enumerate(texts)]).result()
        settings: dict[str, Any] = {"on_overflow": "head"}
        if self.writes:
            settings |= {"prompt": "Summarise this text: {text}", "max_new_tokens": _NEW_TOKENS}
        begin = time.perf_counter()
        engine.submit(job, "generate" if self.writes else "embed", settings, again=True)
        whole = engine.wait(job, patience)
        taken = time.perf_counter() - begin
        if not whole:
            engine.cancel(job).result()
        done = engine.piles.counts(job)[State.DONE]
        engine.delete_job(job).result()
        if not done and (whole or not self.tried):
            raise HeddleError(
                "None of the texts could be run; look at one with heddle run."
                if whole
                else "Not a single text was done in this time; give more with --seconds."
            )
        return taken / max(1, done), whole


def _line(one: Tried) -> str:
    plan = one.plan
    slots = f"  {plan.slots:3} slots" if plan.slots else ""
    tail = "  stopped, too slow" if one.stopped else ""
    return f"{plan.workers:3} x {plan.threads}{slots}  {1 / one.typical:9.2f} texts/s  {one.memory / 1e9:6.2f} GB{tail}"


def bench_plan(
    paths: Sequence[str], model: str, dtype: str, *, seconds: float, as_json: bool, say: Callable[[str], None]
) -> int:
    """Measure plans for a model over the documents at ``paths``, print them and keep the best; returns the exit code."""
    texts = texts_of(paths)
    with Engine() as engine:
        engine.open_model(model, dtype).result()
        loaded = engine.manager.loaded
        assert loaded is not None
        bench = PlanBench(engine, texts, loaded.dtype, seconds, (lambda _line: None) if as_json else say)
        begin = time.monotonic()
        ranked = bench.run()
        taken = time.monotonic() - begin
    rows = [
        {
            "plan": asdict(one.plan),
            "texts_per_s": round(1 / one.typical, 3),
            "runs": [round(1 / each, 3) for each in one.seconds],
            "memory": one.memory,
            "stopped": one.stopped,
        }
        for one in ranked
    ]
    best = ranked[0].plan
    place = measured_plans.keep(fingerprint(model_place(model)), best, rows)
    if as_json:
        print(json.dumps({"best": asdict(best), "seconds": round(taken, 1), "plans": rows, "kept": place}, indent=2))
        return 0
    slots = f", {best.slots} slots each" if best.slots else ""
    print(
        f"Best of {len(ranked)} plans in {taken:.0f} s: {best.workers} workers x {best.threads} threads{slots}, {best.dtype}. "
        "It is used from now on, where workers are left to the engine."
    )
    return 0
