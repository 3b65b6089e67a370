"""Work B: 1,500 paragraphs of English through the starter encoder, against sentence-transformers' defaults."""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np

from engine import machine
from engine.errors import HeddleError, UsageError
from engine.lanes.plan import Plan
from engine.protocol import plain


class _Side:
    """A process that runs one side when told to."""

    def __init__(self, who: str, count: int, vectors: str, plan: Plan) -> None:
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}
        self.who = who
        self._process = subprocess.Popen(
            [sys.executable, "-m", "engine.bench.side", who, str(count), vectors, json.dumps(plain(plan))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.about: dict[str, Any] = {}

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise HeddleError(f"The side {self.who!r} of the benchmark ended with exit code {self._process.wait()}.")

    def ready(self) -> None:
        """Wait until the side has loaded and warmed up."""
        self._hear()

    def run(self) -> float:
        """Run once and return the seconds it took."""
        assert self._process.stdin is not None
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        told = self._hear()
        self.about = told["about"]
        return float(told["seconds"])

    def end(self) -> None:
        """Let the process end, or end it."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def measure(*, pairs: int, texts: int, plan: Plan) -> dict[str, Any]:
    """Run ``pairs`` pairs in turn and return the medians, the ratio of each pair, and the smallest cosine.

    Raises UsageError when sentence-transformers is not installed or ``pairs`` or ``texts`` make no sense.
    """
    if importlib.util.find_spec("sentence_transformers") is None:
        raise UsageError(
            "bench embed measures against sentence-transformers; install it: pip install sentence-transformers"
        )
    if pairs < 1 or texts < 64:
        raise UsageError("bench embed needs at least one pair and 64 texts.")
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, name) for name in ("ours.npy", "peer.npy")]
        sides = [_Side("ours", texts, files[0], plan), _Side("peer", texts, files[1], plan)]
        try:
            for side in sides:
                side.ready()
            times: list[tuple[float, float]] = []
            for index in range(pairs):
                # Who goes first alternates, so that neither always runs on a machine that the other has warmed.
                order = sides if index % 2 == 0 else sides[::-1]
                found = {side.who: side.run() for side in order}
                times.append((found["ours"], found["peer"]))
            vectors = [np.load(name) for name in files]
        finally:
            for side in sides:
                side.end()
    lengths = np.linalg.norm(vectors[0], axis=1) * np.linalg.norm(vectors[1], axis=1)
    cosines = (vectors[0] * vectors[1]).sum(1) / lengths
    ratios = [theirs / mine for mine, theirs in times]
    return {
        "ours_texts_per_s": round(texts / statistics.median(mine for mine, _ in times), 2),
        "peer_texts_per_s": round(texts / statistics.median(theirs for _, theirs in times), 2),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "min_cosine": round(float(cosines.min()), 6),
        "texts": texts,
        "pairs": pairs,
        "ours": sides[0].about,
        "peer": sides[1].about,
        "cores": machine.core_count(),
        "instruction_set": machine.instruction_set(),
        "versions": machine.versions(),
    }


def bench_embed(*, pairs: int, texts: int, plan: Plan, as_json: bool) -> int:
    """Measure and print; returns the exit code."""
    found = measure(pairs=pairs, texts=texts, plan=plan)
    if as_json:
        print(json.dumps(found, indent=2))
        return 0
    used = found["ours"]["plan"]
    lines = (
        f"{texts:,} texts, all-MiniLM-L6-v2, {found['cores']} cores ({found['instruction_set']}), median of {pairs} pairs",
        f"heddle                 {found['ours_texts_per_s']:8.1f} texts/s   {used['lanes']} x {used['threads']}, {used['dtype']}",
        f"sentence-transformers  {found['peer_texts_per_s']:8.1f} texts/s   its defaults, {found['peer']['threads']} threads",
        f"ratio                  {found['ratio']:8.2f}           smallest cosine {found['min_cosine']:.6f}",
    )
    print("\n".join(lines))
    return 0
