"""Work A: a pile through a generator, against transformers, and OpenVINO GenAI and llama.cpp where they are installed."""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from engine.api.plan import Plan
from engine.bench.choice import choose_plan
from engine.bench.generate_parts import measure_prefix, measure_single, measure_slot
from engine.bench.generate_report import figures, lines_of
from engine.bench.measurement import PACKAGES, Measurement, peer_dtype
from engine.bench.shapes import SHAPES
from engine.bench.side_process import Deadline, Side, SideProcess
from engine.bench.work import ALONE, BATCH, Work, work_a, work_a_long
from engine.errors import HeddleError, UsageError
from engine.telemetry import machine

PARTS = ("batches", "single", "prefix", "slot")
"""What can be measured; ``batches`` is Work A or A-long."""

SECONDS = 780.0
"""Time after which no further round begins, so that the command ends within 15 minutes."""

FEWEST_LONG = 8
"""Long prompts that are measured however slow the machine is; later rounds are left out before they are fewer."""

PEERS = ("padded", "generate_batch", "sequential", "openvino", "llamacpp")
"""The other sides, in the order of their weight when time is short."""


@dataclass(frozen=True, slots=True)
class Order:
    """What ``bench generate`` was asked to measure; 0 documents or new tokens mean those of the work."""

    shape: str = "0.5b"
    plan: Plan = field(default_factory=Plan)
    pairs: int = 3
    long: bool = False
    parts: tuple[str, ...] = ("batches",)
    peers: tuple[str, ...] = PEERS
    peer_python: str = ""
    documents: int = 0
    new_tokens: int = 0
    seconds: float = SECONDS

    def __post_init__(self) -> None:
        """Refuse what cannot be measured; raises UsageError."""
        if self.shape not in SHAPES:
            raise UsageError(f"There is no shape {self.shape!r}; there is {', '.join(SHAPES)}.")
        if unknown := sorted(set(self.parts) - set(PARTS)):
            raise UsageError(f"There is no part {unknown[0]!r}; there is {', '.join(PARTS)}.")
        if unknown := sorted(set(self.peers) - set(PEERS)):
            raise UsageError(f"There is no side {unknown[0]!r}; there is {', '.join(PEERS)}.")
        if self.pairs < 1 or self.documents < 0 or self.new_tokens < 0:
            raise UsageError("bench generate needs at least one pair, and documents and new tokens of 0 or more.")
        if self.peer_python and not os.access(self.peer_python, os.X_OK):
            raise UsageError(f"There is no Python to run at {self.peer_python}.")

    def work(self) -> Work:
        """Return the prompts."""
        make = work_a_long if self.long else work_a
        known = {"documents": self.documents, "new_tokens": self.new_tokens}
        return make(SHAPES[self.shape].vocabulary, **{name: value for name, value in known.items() if value})


def installed(package: str, python: str) -> bool:
    """Tell whether a package can be imported here, or by the Python of another environment where one is named."""
    if not python:
        return importlib.util.find_spec(package) is not None
    look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    return subprocess.run([python, "-c", look], capture_output=True, check=False).returncode == 0


def measure_batches(order: Order) -> dict[str, Any]:
    """Run the sides in turn and return the figures of BENCH.md; raises HeddleError when ours or padded cannot run."""
    deadline = Deadline(order.seconds)
    work = order.work()
    if order.long and not order.documents:
        work = _that_fits(order, work, deadline)
    documents = len(work.prompts)
    left_out: dict[str, str] = {}
    with Measurement(order.shape, work, order.peer_python) as measurement:
        # Long prompts are nearly all of their own time, so that a quarter of them tells plans apart.
        trial = max(min(documents, 2 * machine.core_count()), documents // 4) if order.long else documents
        chosen, tried = choose_plan(measurement, order.plan, documents, trial, left_out)
        plan = machine.resolve_plan(chosen)
        process = measurement.ours(chosen)
        process.ready()
        ours = Side("ours", process, documents, 0)
        limits = measurement.limits(plan.dtype)
        limits.ready()
        sides = [ours, *_peers(order, measurement, work, plan.dtype, left_out)]
        found: dict[str, float] = {"rate": 0.0, "bandwidth": 0.0}
        for side in _turns(sides, order.pairs, deadline):
            if side is ours:
                fresh = limits.ask({})
                found = {name: max(found[name], fresh[name]) for name in found}
            try:
                side.run(work.new_tokens)
            except HeddleError as error:
                if side is ours or side.name == "padded":
                    raise
                left_out[side.name] = str(error)
                side.seconds.append(float("inf"))
        return figures(order.shape, work, sides, found, tried, left_out, deadline.spent)


def _that_fits(order: Order, work: Work, deadline: Deadline) -> Work:
    """Return as many long prompts as the pairs have time for, by what padded batches take for two of them.

    The two are the longest and the shortest, so that the probe pays for padding and for attention over all that a
    batch is as long as: at 4,000 tokens attention costs as much again as the rest.
    """
    probe = (max(work.prompts, key=len), min(work.prompts, key=len))
    with Measurement(order.shape, Work("probe", probe, work.new_tokens)) as measurement:
        process = measurement.peer("transformers", dtype=peer_dtype(machine.resolve_plan(order.plan).dtype))
        process.ready()
        each = process.ask({"documents": len(probe), "new_tokens": work.new_tokens})["seconds"] / len(probe)
    # Ours is counted as taking as long as padded batches, which also pays for loading and for the choice of a plan.
    count = int((order.seconds - deadline.spent) / (2 * order.pairs * each))
    return Work(work.name, work.prompts[: max(FEWEST_LONG, count)], work.new_tokens)


def _peers(order: Order, measurement: Measurement, work: Work, dtype: str, left_out: dict[str, str]) -> list[Side]:
    """Start the sides that can run here; why others cannot goes into ``left_out``."""
    documents = len(work.prompts)
    wanted = ("padded",) if order.long else order.peers
    shared = measurement.peer("transformers", dtype=peer_dtype(dtype))
    started = [(name, shared) for name in ("padded", "sequential") if name in wanted]
    if "generate_batch" in wanted:
        started.append(("generate_batch", measurement.peer("generate_batch", dtype=peer_dtype(dtype))))
    for name, package in PACKAGES.items():
        if name not in wanted:
            continue
        if installed(package, order.peer_python):
            formats = ("fp16", "int8") if name == "openvino" else ("",)
            started += [
                (
                    f"{name} {weights}".strip(),
                    measurement.peer(name, format=weights or None, batch=min(2 * BATCH, documents)),
                )
                for weights in formats
            ]
        else:
            left_out[name] = f"{package} is not installed"
    sides: list[Side] = []
    failed: set[SideProcess] = set()
    heard: set[SideProcess] = set()
    for name, process in started:
        try:
            if process not in heard | failed:
                process.ready()
                heard.add(process)
        except HeddleError as error:
            if name == "padded":
                raise
            failed.add(process)
            left_out[name] = str(error)
        if process not in failed:
            alone = name == "sequential"
            sides.append(Side(name, process, min(ALONE, documents) if alone else documents, 1 if alone else BATCH))
    return sorted(sides, key=lambda side: PEERS.index(side.name.split()[0]))


def _turns(sides: list[Side], pairs: int, deadline: Deadline) -> Iterator[Side]:
    """Give each side its turn, in an order that changes; later rounds leave out what would take too long."""
    for index in range(pairs):
        if index == 1:
            sides = _better_formats(sides)
        # Who goes first changes, so that nobody always runs on a machine that another has warmed.
        order = sides[index % len(sides) :] + sides[: index % len(sides)]
        planned = 0.0
        admitted: set[str] = set()
        for side in sides:  # by their weight
            cost = statistics.fmean(side.seconds) if side.seconds else 0.0
            if index == 0 or deadline.allows(planned + cost):
                planned += cost
                admitted.add(side.name)
        for side in order:
            if side.name in admitted and "ours" in admitted and (not side.seconds or side.seconds[-1] < float("inf")):
                yield side


def _better_formats(sides: list[Side]) -> list[Side]:
    """Leave out the formats of a peer that were slower than another one of it in the first round."""
    best: dict[str, Side] = {}
    for side in sides:
        name = side.name.split()[0]
        if name not in best or side.seconds[-1] < best[name].seconds[-1]:
            best[name] = side
    return [side for side in sides if side in best.values()]


def bench_generate(order: Order, *, as_json: bool) -> int:
    """Measure the parts that were asked for and print; returns the exit code."""
    found: dict[str, Any] = {}
    if "batches" in order.parts:
        found |= measure_batches(order)
    if "single" in order.parts:
        found["single"] = measure_single(order.shape, order.plan, order.pairs)
    if "prefix" in order.parts:
        found["prefix"] = measure_prefix(order.shape, order.plan, order.pairs)
    if "slot" in order.parts:
        found["slot"] = measure_slot(order.shape, order.plan)
    found |= {
        "cores": machine.core_count(),
        "instruction_set": machine.instruction_set(),
        "versions": machine.versions(),
    }
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        print("\n".join(lines_of(found)))
    return 0
