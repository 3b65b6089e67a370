"""Many short generations through workers with slots: no document lost or mixed up, and memory that stays flat.

    python tests/bench/soak.py [--documents 2000] [--workers 2] [--slots 16] [--dtype float32]

Every prompt carries a key that a copying model must return. Prints JSON with the figures; the exit code is 1 when an
answer is wrong or missing, or when the memory grew by more than 5 % after the first 200 documents.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from typing import Any

import psutil

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
for place in (ROOT, os.path.join(ROOT, "tests")):
    if place not in sys.path:
        sys.path.insert(0, place)

import numpy as np  # noqa: E402 - after the path
from copying_model import make_folder, make_prompt  # noqa: E402

from engine.api.plan import Plan  # noqa: E402
from engine.engine import Engine  # noqa: E402

SETTLED = 200
"""Documents after which the memory has to be flat."""

GROWTH = 0.05
"""Share by which it may still grow."""


def soak(
    folder: str, *, documents: int, workers: int, slots: int, dtype: str = "float32", journal: str
) -> dict[str, Any]:
    """Run ``documents`` prompts, booked in the file ``journal``, and return what came of them, with the memory after the first 200 and at the end.

    Most prompts have 16 to 160 words; every 50th has 508, so that its answer outgrows the smallest length class.
    """
    draw = np.random.default_rng(1)
    lengths = [508 if n % 50 == 49 else int(draw.integers(16, 161)) for n in range(documents)]
    prompts = [make_prompt(n, length) for n, length in enumerate(lengths)]
    process = psutil.Process()
    engine = Engine(journal)
    samples: list[tuple[int, int]] = []
    try:
        engine.set_plan(Plan("cpu", workers, 1, dtype, slots)).result()
        engine.open_model(folder).result()
        mode = engine.loaded.mode if engine.loaded is not None else ""
        engine.create_job("soak")
        engine.add_texts("soak", [(str(n), text) for n, (text, _) in enumerate(prompts)]).result()
        engine.submit("soak", "generate", {"prompt": "{text}", "max_new_tokens": 12}, again=True)
        while not engine.wait("soak", 0.02):
            samples.append((engine.coordinator.throughput.documents, process.memory_info().rss))
        samples.append((engine.coordinator.throughput.documents, process.memory_info().rss))
        rows = list(engine.journal.results("soak"))
        used = {meter.documents for meter in engine.coordinator.workers.meters}
    finally:
        clean = engine.close(10.0)
    wrong, lost, reasons = [], [], set()
    for record, result in rows:
        number = int(record.path)
        if result is None:
            lost.append(number)
            continue
        reasons.add(result.value["finish_reason"])
        if result.value["text"].split() != prompts[number][1].split():
            wrong.append(number)
    settled = max((rss for done, rss in samples if done <= SETTLED), default=samples[0][1])
    peak = max(rss for _, rss in samples)
    return {
        "documents": documents,
        "rows": len(rows),
        "wrong": wrong,
        "lost": lost,
        "finish_reasons": sorted(reasons),
        "mode": mode,
        "workers": workers,
        "slots": slots,
        "idle_workers": sum(not count for count in used),
        "closed": clean,
        "rss_settled": settled,
        "rss_peak": peak,
        "rss_end": samples[-1][1],
        "growth": round(peak / settled - 1, 4),
        "samples": len(samples),
    }


def right(found: dict[str, Any]) -> bool:
    """Tell whether every document has its own key, over slots, once."""
    return not found["wrong"] and not found["lost"] and found["rows"] == found["documents"] and found["mode"] == "slots"


def main() -> int:
    """Run the soak and print; returns the exit code."""
    parser = argparse.ArgumentParser(description="Many short generations through workers with slots.")
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = soak(
            make_folder(folder),
            documents=options.documents,
            workers=options.workers,
            slots=options.slots,
            dtype=options.dtype,
            journal=os.path.join(folder, "soak.journal"),
        )
    print(json.dumps(found))
    return 0 if right(found) and found["growth"] <= GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
