"""The plan that a measurement finds against the best of all plans of a grid, head to head in interleaved pairs.

    python -m tests.bench.plan_grid DOCUMENTS... --model writer --seconds 60 --texts 64 --pairs 5

Prints JSON: both plans, the texts a second of every plan of the grid, the texts a second of each pair, and the ratio
(measured / grid, the median over the pairs): 0.9 or more is what the measurement promises.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import asdict

from engine.api.plan import Plan
from engine.bench.plan import PlanBench, texts_of
from engine.engine import Engine
from engine.scheduling.plan_search import SLOTS, shapes
from engine.telemetry import machine


def main() -> int:
    """Measure, run the grid, then the pairs; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", nargs="+")
    parser.add_argument("--model", default="writer")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--seconds", type=float, default=60.0, help="seconds of the measurement")
    parser.add_argument("--texts", type=int, default=64, help="texts of each run of the grid and the pairs")
    parser.add_argument("--pairs", type=int, default=5)
    asked = parser.parse_args()
    texts = texts_of(asked.documents)
    sample = [texts[place % len(texts)] for place in range(asked.texts)]
    with Engine() as engine:
        engine.open_model(asked.model, asked.dtype).result()
        dtype = engine.plan.dtype
        bench = PlanBench(engine, texts, dtype, asked.seconds, lambda line: print(line, file=sys.stderr))
        begin = time.perf_counter()
        measured = bench.run()[0].plan
        taken = time.perf_counter() - begin

        def speed(plan: Plan) -> float:
            engine.set_plan(plan).result()
            bench.once(sample[: 2 * plan.workers], None)  # warms up
            return 1 / bench.once(sample, None)[0]

        grid = [
            Plan("cpu", workers, threads, dtype, slots)
            for workers, threads in shapes(machine.core_count())
            for slots in (SLOTS if bench.writes else (0,))
        ]
        speeds = {plan: speed(plan) for plan in grid}
        best = max(speeds, key=lambda plan: speeds[plan])
        pairs: list[tuple[float, float]] = []
        for turn in range(asked.pairs):
            if turn % 2 == 0:
                ours, theirs = speed(measured), speed(best)
            else:
                theirs, ours = speed(best), speed(measured)
            pairs.append((ours, theirs))
    told = {
        "measured": asdict(measured),
        "measured_in_s": round(taken, 1),
        "best_of_grid": asdict(best),
        "grid": [{"plan": asdict(plan), "texts_per_s": round(found, 3)} for plan, found in speeds.items()],
        "pairs": [[round(ours, 3), round(theirs, 3)] for ours, theirs in pairs],
        "ratio": round(statistics.median(ours / theirs for ours, theirs in pairs), 3) if pairs else None,
    }
    print(json.dumps(told, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
