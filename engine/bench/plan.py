"""The best plan for a model and a pile: workers, threads and slots, measured on the pile's own texts."""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any, TypeVar

from engine.api.footprint import KV_SHARE, footprint
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
from engine.scheduling.plan_search import PlanSearch, Taken, Tried
from engine.telemetry import machine, measured_plans

Thing = TypeVar("Thing")

TEXTS = 400
"""Texts of the pile that are measured with, at most."""

_ROWS = 40_000
"""Rows of tables that are read to choose from, at most."""
_LONGEST = 20_000
"""Characters of one: a book would be all that a plan gets to do."""
_NEW_TOKENS = 32


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
        self._engine, self._texts, self._say = engine, texts, say
        self.writes = GENERATE in loaded.facts.capabilities
        self._end = time.monotonic() + seconds
        # A token has about four characters; the longest text decides what a slot may have to take.
        tokens = max(len(text) for text in texts) // 4 + _NEW_TOKENS
        room = machine.memory_free("cpu")

        def need(plan: Plan) -> int:
            return footprint(loaded.facts, plan, room, tokens, auto=machine.number_dtype("auto")).kv

        self.search = PlanSearch(
            machine.core_count(),
            dtype,
            len(texts),
            seconds,
            writes=self.writes,
            need=need,
            room=int(KV_SHARE * room),
        )

    def run(self) -> list[Tried]:
        """Try the plans as the search asks for; returns those that were measured, the best first.

        Raises HeddleError where no plan fits into memory, or none came to anything.
        """
        search, used = self.search, None
        while (step := search.next()) is not None:
            if step.plan != used:
                self._engine.set_plan(step.plan).result()
                used = step.plan
            texts = [self._texts[place % len(self._texts)] for place in range(step.texts)]
            taken, whole = self.once(texts, step.patience)
            memory = self._engine.snapshot().meters.rss
            if step.counts or not whole:
                self._say(_line(step.plan, taken, memory, stopped=not whole))
            search.tell(Taken(taken, whole, memory, self._end - time.monotonic()))
        for one in search.left_out:
            self._say(
                f"{one.plan.workers:3} x {one.plan.threads}  {one.plan.slots:3} slots  not tried: keys and values take "
                f"{one.need / 1e9:.2f} GB, there are {one.room / 1e9:.2f} GB for them"
            )
        if not search.tried:
            raise HeddleError(
                "No plan fits into the memory that is free; close other programs, or choose a smaller model."
            )
        if search.ranked()[0].stopped:
            raise HeddleError("No plan did its texts in this time, so none is kept; give more with --seconds.")
        return search.ranked()

    def once(self, texts: Sequence[str], patience: float | None) -> tuple[float, bool]:
        """Run these texts; returns the seconds a text, infinite for none, and whether all were done within ``patience`` seconds.

        Raises HeddleError where all ended and none could be run.
        """
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
        if whole and not done:
            raise HeddleError("None of the texts could be run; look at one with heddle run.")
        return (taken / done if done else math.inf), whole


def _line(plan: Plan, seconds: float, memory: int, *, stopped: bool) -> str:
    slots = f"  {plan.slots:3} slots" if plan.slots else ""
    tail = "  stopped, too slow" if stopped else ""
    return f"{plan.workers:3} x {plan.threads}{slots}  {1 / seconds:9.2f} texts/s  {memory / 1e9:6.2f} GB{tail}"


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
    length = measured_plans.length_class(texts)
    place = measured_plans.keep(fingerprint(model_place(model)), best, rows, length)
    if as_json:
        print(
            json.dumps(
                {"best": asdict(best), "seconds": round(taken, 1), "plans": rows, "texts": length, "kept": place},
                indent=2,
            )
        )
        return 0
    slots = f", {best.slots} slots each" if best.slots else ""
    print(
        f"Best of {len(ranked)} plans in {taken:.0f} s: {best.workers} workers x {best.threads} threads{slots}, {best.dtype}. "
        "It is used from now on, where workers are left to the engine."
    )
    return 0
