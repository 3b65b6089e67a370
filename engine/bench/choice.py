"""The best measured plan for a benchmark: workers, slots and the number format, by short runs of the same prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.api.codec import plain
from engine.api.plan import Plan
from engine.bench.work import BATCH
from engine.errors import HeddleError
from engine.telemetry import machine

if TYPE_CHECKING:
    from engine.bench.measurement import Measurement

NEW_TOKENS = 16
"""Length of the answers of a trial."""


def plans_to_try(given: Plan, documents: int) -> list[Plan]:
    """Return the plans that ``given`` leaves open for ``documents`` prompts, those of one number format side by side.

    With the format left to the machine, int8 is tried beside the floats that it would take: a peer with formats of its
    own counts by the better one too. A plan with workers, threads or slots in it leaves nothing open.
    """
    if given.workers or given.threads or given.slots:
        return []
    cores = machine.core_count()
    formats = (machine.resolve_dtype("auto", "cpu"), "int8") if given.dtype == "auto" else (given.dtype,)
    return [
        Plan("cpu", workers, cores // workers, dtype, slots)
        for dtype in formats
        for workers in sorted({1, cores}, reverse=True)
        for slots in (BATCH, 2 * BATCH)
        # More slots than a worker has documents change nothing.
        if slots == BATCH or documents / workers > BATCH
    ]


def choose_plan(
    measurement: Measurement, given: Plan, documents: int, trial: int, left_out: dict[str, str]
) -> tuple[Plan, list[dict[str, Any]]]:
    """Return the fastest of the plans for ``documents`` prompts, and all with their speeds over ``trial`` of them.

    A format that does not run here goes into ``left_out``; raises HeddleError when none does.
    """
    plans = plans_to_try(given, documents)
    tried: list[tuple[float, Plan]] = []
    for dtype in dict.fromkeys(plan.dtype for plan in plans):
        # A process for each, so that the memory of one format is not counted with another's.
        own = [plan for plan in plans if plan.dtype == dtype]
        process = measurement.ours(own[0])
        try:
            process.ready()
            for plan in own:
                told = process.ask({"plan": plain(plan), "documents": trial, "new_tokens": NEW_TOKENS})
                tried.append((told["tokens"] / told["seconds"], plan))
        except HeddleError as error:
            left_out[dtype] = str(error)
        finally:
            measurement.end_last()
    if not plans:
        return given, []
    if not tried:
        raise HeddleError("; ".join(left_out.values()))
    best = max(tried, key=lambda one: one[0])[1]
    return best, [{"plan": plain(plan), "tokens_per_s": round(speed, 1)} for speed, plan in tried]
