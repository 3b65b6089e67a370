"""The smaller measurements of ``bench generate``: one document alone, a shared instruction, one long slot among short ones."""

from __future__ import annotations

import statistics
from typing import Any

from engine.api.plan import DTYPES, Plan
from engine.bench.measurement import Measurement, peer_dtype
from engine.bench.shapes import SHAPES
from engine.bench.side_process import SideProcess
from engine.bench.work import Work, make_work
from engine.errors import HeddleError
from engine.telemetry import machine

ALONE_TOKENS = 48
"""New tokens of the document that runs alone."""


_SIDE_BYTES = 700_000_000
"""What a side takes beside its weights."""

_FORMATS_BYTES = 12
"""Bytes of a weight in all number formats together, the other side's among them."""

_TRIES = 3
"""Times that an answer is asked for that takes longer than its first token."""


def measure_single(shape: str, plan: Plan, pairs: int) -> dict[str, Any]:
    """Return decode tokens/s of one document alone, in every number format, and the ratio to ``generate()``.

    The other side runs in bfloat16, or in float32 where that is faster. Its time for the first token is taken off by a
    run of one token. All formats take their turn in every pair, so that what disturbs the machine for a while disturbs
    them alike, and ``over_float32`` holds their ratios to Heddle's own float32; without the memory for all at once they
    come one after the other, and there are none.
    """
    work = make_work("single", SHAPES[shape].vocabulary, documents=2, shortest=64, longest=64, new_tokens=ALONE_TOKENS)
    formats = [name for name in DTYPES if name != "auto"] if plan.dtype == "auto" else [plan.dtype]
    found: dict[str, Any] = {"tokens_per_s": {}, "ratios": {}, "over_float32": {}, "left_out": {}}
    need = _FORMATS_BYTES * SHAPES[shape].weights + (len(formats) + 1) * _SIDE_BYTES
    groups = [formats] if need < machine.memory_available() else [[name] for name in formats]
    with Measurement(shape, work) as measurement:
        other = peer_dtype("auto")
        peer = measurement.peer("transformers", dtype=other)
        peer.ready()
        theirs: list[float] = []
        for group in groups:
            theirs += _measure_formats(measurement, group, plan.threads or measurement.cores, peer, pairs, found)
    if theirs:
        found["tokens_per_s"][f"transformers {other}"] = round(statistics.median(theirs), 2)
    return found


def _measure_formats(
    measurement: Measurement, formats: list[str], threads: int, peer: SideProcess, pairs: int, found: dict[str, Any]
) -> list[float]:
    """Add to ``found`` what some number formats come to, in turns; returns the other side's speeds."""
    sides: dict[str, SideProcess] = {}
    for dtype in formats:
        side = measurement.ours(Plan("cpu", 1, threads, dtype, 1))
        try:
            side.ready()
            sides[dtype] = side
        except HeddleError as error:
            found["left_out"][dtype] = str(error)
    speeds: dict[str, list[float]] = {dtype: [] for dtype in sides}
    theirs: list[float] = []
    for _ in range(pairs if sides else 0):
        theirs.append(_their_decode(peer))
        for dtype, side in list(sides.items()):
            try:
                speeds[dtype].append(_our_decode(side))
            except HeddleError as error:
                found["left_out"][dtype] = str(error)
                del sides[dtype], speeds[dtype]
    for _ in formats:
        measurement.end_last()
    for dtype, mine in speeds.items():
        found["tokens_per_s"][dtype] = round(statistics.median(mine), 2)
        found["ratios"][dtype] = _ratio(mine, theirs)
        if "float32" in speeds:
            found["over_float32"][dtype] = _ratio(mine, speeds["float32"])
    return theirs


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return round(statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True)), 3)


def _our_decode(side: SideProcess) -> float:
    told = side.ask({"documents": 1, "new_tokens": ALONE_TOKENS})
    return 1 / told["tpot"][0]


def _their_decode(side: SideProcess) -> float:
    """Return tokens/s after the first token, whose time is the shorter of one before and one after the whole answer.

    A moment's disturbance of a run of one token would count as a faster decode; raises HeddleError when both took longer
    than the answer.
    """

    def seconds(new_tokens: int) -> float:
        return side.ask({"documents": 1, "new_tokens": new_tokens, "batch": 1})["seconds"]

    for _ in range(_TRIES):
        before, whole, after = seconds(1), seconds(ALONE_TOKENS), seconds(1)
        first = min(before, after)
        if first < whole:
            return (ALONE_TOKENS - 1) / (whole - first)
    raise HeddleError(
        f"One token of transformers took longer than {ALONE_TOKENS}, {_TRIES} times: is the machine busy?"
    )


def measure_prefix(shape: str, plan: Plan, pairs: int) -> dict[str, Any]:
    """Return how much faster 64 documents of 64 tokens behind one instruction of 512 are with prefix reuse than without."""
    vocabulary = SHAPES[shape].vocabulary
    head = make_work("head", vocabulary, documents=1, shortest=512, longest=512, new_tokens=1, seed=11).prompts[0]
    tails = make_work("tails", vocabulary, documents=64, shortest=64, longest=64, new_tokens=16)
    work = Work("prefix", tuple(head + tail for tail in tails.prompts), 16)
    seconds: dict[str, list[float]] = {"on": [], "off": []}
    reused: dict[str, int] = {}
    with Measurement(shape, work) as measurement:
        sides = {"on": measurement.ours(plan), "off": measurement.ours(plan, reuse=False)}
        for side in sides.values():
            side.ready()
        for index in range(pairs):
            for name in ("on", "off") if index % 2 == 0 else ("off", "on"):
                told = sides[name].ask({"documents": 64, "new_tokens": 16})
                seconds[name].append(told["seconds"])
                reused[name] = told["about"]["prefix_tokens"]
    if reused["off"] or not reused["on"]:
        raise HeddleError(f"Prefix reuse could not be switched: {reused} tokens were reused.")
    return {
        "ratio": round(statistics.median(b / a for a, b in zip(seconds["on"], seconds["off"], strict=True)), 3),
        "tokens_per_s": {name: round(work.tokens() / statistics.median(each), 1) for name, each in seconds.items()},
        "pairs": pairs,
    }


def measure_slot(shape: str, plan: Plan, *, longest: int = 8000, short: int = 300, slots: int = 32) -> dict[str, Any]:
    """Return the decode step time with one slot at ``longest`` tokens among short ones, over that of short ones alone."""
    most = SHAPES[shape].positions - 64
    groups = {"short": [short] * slots, "one long": [min(longest, most)] + [short] * (slots - 1)}
    with Measurement(shape, Work("slot", ((1,),), 1)) as measurement:
        side = measurement.long_slot(plan.dtype, plan.threads or machine.core_count())
        side.ready()
        told = side.ask({"groups": groups})
    return {
        "ratio": round(told["one long"] / told["short"], 3),
        "step_ms": {name: round(value * 1e3, 2) for name, value in told.items()},
        "tokens": {name: max(lengths) for name, lengths in groups.items()},
        "slots": slots,
    }
