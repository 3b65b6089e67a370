"""What a journal on disk costs: Work B with the journal in a file against Work B with it in memory.

    python tests/bench/journal_cost.py [--pairs 10] [--seconds 30] [--workers 2] [--threads 1] [--dtype auto] [--folder DIR]

Each pair has two new engines in this process; which of them is made and run first changes from pair to pair, because the
first can be slower by some per cent whatever its journal (where its weights come to lie). A run embeds the paragraphs of
Work B, over and over, for at least the seconds given. The last line is JSON; the exit code is 1 when the median ratio of
the pairs, disk to memory, is below 0.97, or when a run was shorter than asked.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from engine.api.plan import Plan  # noqa: E402
from engine.bench.english import texts  # noqa: E402 - after the path
from engine.engine import Engine  # noqa: E402
from engine.telemetry.libraries import prepare_process  # noqa: E402

BOUND = 0.97
PILE = 1_500
"""Paragraphs of Work B."""


class Side:
    """An engine with the starter model, and one pile that is run again and again."""

    def __init__(self, journal: str | None, plan: Plan) -> None:
        """Open the starter model under ``plan``, with the journal in the file ``journal`` or in memory."""
        self.engine = Engine(journal)
        self.engine.set_plan(plan).result()
        self.engine.open_model("starter").result()
        self.texts = texts(PILE)

    def run(self, documents: int) -> float:
        """Embed so many documents in one job and return how many a second; rows are removed afterwards."""
        engine, job = self.engine, uuid.uuid4().hex
        engine.create_job(job)
        pile = [(str(n), self.texts[n % PILE]) for n in range(documents)]
        engine.add_texts(job, pile).result()
        begin = time.perf_counter()
        engine.submit(job, "embed", {"on_overflow": "head"}, again=True)
        engine.wait(job)
        seconds = time.perf_counter() - begin
        counts = engine.journal.counts(job)
        if counts["done"] != documents:
            raise RuntimeError(f"{documents - counts['done']} documents have no vector: {counts}")
        engine.remove_documents(job)
        return documents / seconds


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--folder", help="where the journal lies: on the disk that is meant")
    asked = parser.parse_args()
    prepare_process()
    plan = Plan("cpu", asked.workers, asked.threads, asked.dtype)
    size = 0
    seconds: dict[str, list[float]] = {"disk": [], "memory": []}
    ratios: list[float] = []
    speeds: dict[str, list[float]] = {"disk": [], "memory": []}
    for pair in range(asked.pairs):
        names = ("disk", "memory") if pair % 2 else ("memory", "disk")
        with tempfile.TemporaryDirectory(prefix="heddle-journal-", dir=asked.folder) as place:
            path = os.path.join(place, "journal.sqlite")
            sides = {name: Side(path if name == "disk" else None, plan) for name in names}
            try:
                # The first runs also warm up, so what follows is faster, and must still take long enough.
                documents = int(max(sides[name].run(PILE) for name in names) * asked.seconds * 1.25)
                for name in names:
                    speeds[name].append(sides[name].run(documents))
                    seconds[name].append(documents / speeds[name][-1])
                size = os.path.getsize(path)
            finally:
                for side in sides.values():
                    side.engine.close(10.0)
        ratios.append(speeds["disk"][-1] / speeds["memory"][-1])
        print(f"pair {pair + 1}: {ratios[-1]:.3f}", file=sys.stderr, flush=True)
    ratio = statistics.median(ratios)
    told = {
        "ratio": round(ratio, 4),
        "bound": BOUND,
        "ratios_of_pairs": [round(value, 4) for value in ratios],
        "texts_per_s": {name: round(statistics.median(values), 1) for name, values in speeds.items()},
        "seconds": {name: [round(value, 1) for value in values] for name, values in seconds.items()},
        "plan": {"workers": asked.workers, "threads": asked.threads, "dtype": asked.dtype},
        "journal_bytes": size,
    }
    print(json.dumps(told))
    return int(ratio < BOUND or min(map(min, seconds.values())) < asked.seconds)


if __name__ == "__main__":
    sys.exit(main())
