"""One side of a benchmark as a process of its own: loads, warms up, then runs whenever it is told to.

Both sides live at once and run in turn, each with the environment of a fresh process, so that neither tunes the
allocator or the threads of the other. Talks in lines of JSON on standard input and output.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.api.plan import Plan
from engine.bench.english import texts
from engine.telemetry.libraries import prepare_process

Run = Callable[[list[str]], tuple[float, npt.NDArray[np.float32]]]
"""Embeds texts; returns the seconds it took and the vectors ``[texts, dimension]``."""


def ours(plan: Plan) -> tuple[Run, Callable[[], dict[str, Any]]]:
    """Return Heddle's run, through the same Engine, workers and journal as any job, and what to tell of it."""
    from engine.api.codec import plain
    from engine.engine import Engine

    engine = Engine()
    engine.set_plan(plan).result()
    engine.open_model("starter").result()

    def run(pile: list[str]) -> tuple[float, npt.NDArray[np.float32]]:
        job = uuid.uuid4().hex
        engine.create_job(job)
        engine.add_texts(job, [(str(i), text) for i, text in enumerate(pile)]).result()
        begin = time.perf_counter()
        engine.submit(job, "embed", {"on_overflow": "head"}, again=True)  # the same question every time
        engine.wait(job)
        seconds = time.perf_counter() - begin
        results = list(engine.journal.results(job))
        missing = [record.path for record, result in results if result is None]
        if missing:
            raise RuntimeError(f"{len(missing)} texts have no vector")
        vectors = np.stack([np.frombuffer(r.vector or b"", "<f4") for _, r in results if r is not None])
        engine.remove_documents(job)
        return seconds, vectors

    def about() -> dict[str, Any]:
        loaded = engine.loaded
        assert loaded is not None
        return {"plan": plain(engine.plan), "mode": loaded.mode, "gil_share": round(engine.gil_share(), 4)}

    return run, about


def peer() -> tuple[Run, Callable[[], dict[str, Any]]]:
    """Return sentence-transformers' run with its defaults, on the same model folder."""
    import sentence_transformers
    import torch

    from engine.models.starter import starter_folder

    model = sentence_transformers.SentenceTransformer(starter_folder(), device="cpu")

    def run(pile: list[str]) -> tuple[float, npt.NDArray[np.float32]]:
        begin = time.perf_counter()
        vectors = model.encode(pile)
        return time.perf_counter() - begin, np.asarray(vectors, np.float32)

    def about() -> dict[str, Any]:
        return {"version": sentence_transformers.__version__, "threads": torch.get_num_threads(), "dtype": "float32"}

    return run, about


def main() -> int:
    """Serve one side: ``side.py ours|peer COUNT VECTORS.npy PLAN``."""
    who, count, target = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    prepare_process()
    plan = Plan(**json.loads(sys.argv[4])) if who == "ours" else Plan()
    run, about = ours(plan) if who == "ours" else peer()
    pile = texts(count)
    run(pile[: max(64, count // 10)])
    _tell({"ready": True})
    for _ in sys.stdin:
        seconds, vectors = run(pile)
        np.save(target, vectors)
        _tell({"seconds": seconds, "about": about()})
    return 0


def _tell(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
