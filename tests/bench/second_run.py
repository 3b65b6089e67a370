"""How long the second run of a pile takes, whose answers the journal has: same files, same question, a new start.

    python tests/bench/second_run.py [--documents 10000] [--dtype auto]

The first run reads, embeds and books a folder of paragraphs with the starter model; the second is another engine on the
same journal and a new job. Seconds are those of the job, from Start to the last row; reading the files is told apart, and the
start of the engine and the load of the model are in neither. The last line is JSON; the exit code is 1 when the second
run takes 5 % of the first or more, has other vectors, or opened a model.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from typing import Any

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from engine.api.plan import Plan  # noqa: E402
from engine.bench.english import texts  # noqa: E402 - after the path
from engine.engine import Engine  # noqa: E402
from engine.jobs.question import model_key  # noqa: E402
from engine.models.fingerprint import fingerprint  # noqa: E402
from engine.models.starter import starter_folder  # noqa: E402
from engine.telemetry.libraries import prepare_process  # noqa: E402

BOUND = 0.05


def run(engine: Engine, job: str, pile: str) -> tuple[float, float]:
    """Put the pile into a new job and start it; returns the seconds of reading the files, and those of the job."""
    engine.create_job(job)
    begin = time.perf_counter()
    engine.add_paths(job, [pile]).result()
    started = time.perf_counter()
    engine.submit(job, "embed", {"on_overflow": "head"})
    engine.wait(job)
    return started - begin, time.perf_counter() - started


def vectors(engine: Engine, job: str) -> dict[Any, bytes]:
    """Return what the journal has of a job, by file."""
    return {record.path: result.vector or b"" for record, result in engine.journal.results(job) if result is not None}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--dtype", default="auto")
    asked = parser.parse_args()
    prepare_process()
    with tempfile.TemporaryDirectory(prefix="heddle-again-") as place:
        pile = os.path.join(place, "pile")
        os.mkdir(pile)
        paragraphs = texts(1_500)
        for number in range(asked.documents):
            with open(os.path.join(pile, f"{number:06}.txt"), "w", encoding="utf-8") as file:
                file.write(f"{number}. {paragraphs[number % len(paragraphs)]}")
        journal = os.path.join(place, "journal.sqlite")
        with Engine(journal) as engine:
            engine.set_plan(Plan("cpu", dtype=asked.dtype)).result()
            engine.open_model("starter").result()
            first_read, first = run(engine, "first", pile)
            expected = vectors(engine, "first")
        with Engine(journal) as engine:
            engine.use_model(model_key(fingerprint(starter_folder()), asked.dtype))
            second_read, second = run(engine, "second", pile)
            same = vectors(engine, "second") == expected and len(expected) == asked.documents
            opened = engine.loaded is not None
    told = {
        "share": round(second / first, 4),
        "bound": BOUND,
        "seconds": {"first": round(first, 2), "second": round(second, 2)},
        "seconds_reading": {"first": round(first_read, 2), "second": round(second_read, 2)},
        "share_with_reading": round((second_read + second) / (first_read + first), 4),
        "documents": asked.documents,
        "same_vectors": same,
        "model_opened": opened,
    }
    print(json.dumps(told))
    return int(second >= BOUND * first or not same or opened)


if __name__ == "__main__":
    sys.exit(main())
