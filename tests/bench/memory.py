"""The most memory that a model of 1.5 billion random weights takes, loading included, against its bound.

    python tests/bench/memory.py [--dtype bf16] [--shape 1.5b] [--folder DIR] [--documents 4]

Writes the folder (3.1 GB in 3 shards) to a temporary place unless one is named, loads it in a fresh process through the
Engine and writes some answers. Prints JSON; the exit code is 1 when the peak is above

    weights in their format * 1.15 + KV memory + 900 MB
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from engine.bench.limits import WEIGHT_BYTES  # noqa: E402 - after the path
from engine.bench.shapes import SHAPES, write_folder  # noqa: E402

SHARE, FIXED = 1.15, 900e6
"""What the weights may take beside themselves, and what Python, torch and transformers may take, in bytes."""

CHILD = """
import json, os, sys
from engine.bench.side_process import peak_rss
from engine.bench.work import make_work, text_of
from engine.telemetry.libraries import prepare_process
from engine.api.plan import Plan
prepare_process()
folder, dtype, documents, vocabulary = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
from engine.engine import Engine
engine = Engine()
engine.set_plan(Plan("cpu", 1, 0, dtype, documents)).result()
engine.open_model(folder).result()
loaded = peak_rss(os.getpid())
work = make_work("memory", vocabulary, documents=documents, shortest=64, longest=128, new_tokens=8)
engine.create_job("memory")
engine.add_texts("memory", [(str(n), text_of(p, vocabulary)) for n, p in enumerate(work.prompts)]).result()
engine.submit("memory", "generate", {"prompt": "{text}", "max_new_tokens": 8})
engine.wait("memory")
meters = engine.snapshot().meters
rows = list(engine.journal.results("memory"))
done = sum(result is not None for _, result in rows)
for record, result in rows:
    if result is None:
        print(record.path, record.state, record.reason, file=sys.stderr)
print(json.dumps({"peak": peak_rss(os.getpid()), "peak_loaded": loaded, "kv": meters.kv_bytes, "now": meters.rss,
    "done": done, "mode": engine.loaded.mode}), flush=True)
engine.close()
"""


def measure(folder: str, shape_name: str, dtype: str, documents: int) -> dict[str, object]:
    """Return peak and bound in MB for the model in ``folder``, in a process of its own."""
    shape = SHAPES[shape_name]
    child = subprocess.run(
        [sys.executable, "-c", CHILD, folder, dtype, str(documents), str(shape.vocabulary)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ROOT},
        check=True,
    )
    told = json.loads(next(line for line in child.stdout.splitlines() if line.startswith("{")))
    weights = shape.weights * WEIGHT_BYTES[dtype]
    bound = weights * SHARE + told["kv"] + FIXED
    return {
        "shape": shape_name,
        "dtype": dtype,
        "documents": told["done"],
        "mode": told["mode"],
        "peak_mb": round(told["peak"] / 1e6),
        "peak_loaded_mb": round(told["peak_loaded"] / 1e6),
        "at_the_end_mb": round(told["now"] / 1e6),
        "bound_mb": round(bound / 1e6),
        "weights_mb": round(weights / 1e6),
        "kv_mb": round(told["kv"] / 1e6),
        "within": told["peak"] <= bound and told["done"] == documents,
    }


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description="Measure the peak memory of loading and running a model.")
    parser.add_argument("--dtype", default="bf16", choices=sorted(WEIGHT_BYTES))
    parser.add_argument("--shape", default="1.5b", choices=sorted(SHAPES))
    parser.add_argument("--folder", default="", help="where the weights are, or shall be written and stay")
    parser.add_argument("--documents", type=int, default=4)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.folder or stack.enter_context(tempfile.TemporaryDirectory())
        if not os.path.exists(os.path.join(folder, "config.json")):
            write_folder(SHAPES[options.shape], folder)
        found = measure(folder, options.shape, options.dtype, options.documents)
    print(json.dumps(found))
    return 0 if found["within"] else 1


if __name__ == "__main__":
    sys.exit(main())
