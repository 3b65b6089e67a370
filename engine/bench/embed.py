"""Work B: 1,500 paragraphs of English through the starter encoder, against sentence-transformers' defaults."""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import tempfile
from typing import Any

import numpy as np

from engine.api.codec import plain
from engine.api.plan import Plan
from engine.bench.side_process import SideProcess
from engine.errors import UsageError
from engine.installation import process_command
from engine.telemetry import machine


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
        sides = [
            SideProcess(who, process_command("engine.bench.side", who, str(texts), file, json.dumps(plain(plan))))
            for who, file in zip(("ours", "peer"), files, strict=True)
        ]
        about: dict[str, Any] = {}
        try:
            for side in sides:
                side.ready()
            times: list[tuple[float, float]] = []
            for index in range(pairs):
                # Who goes first alternates, so that neither always runs on a machine that the other has warmed.
                order = sides if index % 2 == 0 else sides[::-1]
                found = {side.who: side.ask({"run": True}) for side in order}
                times.append((found["ours"]["seconds"], found["peer"]["seconds"]))
                about = {who: told["about"] for who, told in found.items()}
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
        "ours": about["ours"],
        "peer": about["peer"],
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
        f"heddle                 {found['ours_texts_per_s']:8.1f} texts/s   {used['workers']} x {used['threads']}, {used['dtype']}",
        f"sentence-transformers  {found['peer_texts_per_s']:8.1f} texts/s   its defaults, {found['peer']['threads']} threads",
        f"ratio                  {found['ratio']:8.2f}           smallest cosine {found['min_cosine']:.6f}",
    )
    print("\n".join(lines))
    return 0
