"""The most memory that a model of 1.5 billion random weights takes, loading included, against its bound.

    python tests/bench/memory.py [--dtype bf16] [--shape 1.5b] [--folder DIR] [--documents 4]
    python tests/bench/memory.py --gguf Q4_K --shape 3b|8b [--dtype bf16] [--folder DIR]

Writes the folder (3.1 GB in 3 shards), or a GGUF file of that block type, to a temporary place unless one is named, loads
it in a fresh process through the Engine and writes some answers. Prints JSON; the exit code is 1 when the peak is above

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
from pathlib import Path

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
for place in (ROOT, os.path.join(ROOT, "tests")):
    if place not in sys.path:
        sys.path.insert(0, place)

import gguf_shapes  # noqa: E402 - after the path

from engine.bench.limits import WEIGHT_BYTES  # noqa: E402 - after the path
from engine.bench.shapes import SHAPES, write_folder  # noqa: E402

SHARE, FIXED = 1.15, 900e6
"""What the weights may take beside themselves, and what Python, torch and transformers may take, in bytes."""

CHILD = """
import json, os, sys, time
from engine.bench.side_process import peak_rss
from engine.bench.work import make_work, text_of
from engine.telemetry.libraries import prepare_process
from engine.api.plan import Plan
prepare_process()
folder, dtype, documents, vocabulary = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
from engine.engine import Engine
engine = Engine()
engine.set_plan(Plan("cpu", 1, 0, dtype, documents)).result()
start, used = time.perf_counter(), time.process_time()
engine.open_model(folder).result()
load = {"load_s": round(time.perf_counter() - start, 1), "load_cpu_s": round(time.process_time() - used, 1)}
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
    "done": done, "mode": engine.loaded.mode, "note": engine.loaded.note, **load}), flush=True)
engine.close()
"""


def measure(place: str, weights: int, vocabulary: int, dtype: str, documents: int) -> dict[str, object]:
    """Return peak and bound in MB, and the time of the load, for the model in ``place``, in a process of its own."""
    child = subprocess.run(
        [sys.executable, "-c", CHILD, place, dtype, str(documents), str(vocabulary)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ROOT},
        check=True,
    )
    told = json.loads(next(line for line in child.stdout.splitlines() if line.startswith("{")))
    size = weights * WEIGHT_BYTES[dtype]
    bound = size * SHARE + told["kv"] + FIXED
    return {
        "dtype": dtype,
        "documents": told["done"],
        "mode": told["mode"],
        "note": told["note"],
        "load_s": told["load_s"],
        "load_cpu_s": told["load_cpu_s"],
        "peak_mb": round(told["peak"] / 1e6),
        "peak_loaded_mb": round(told["peak_loaded"] / 1e6),
        "at_the_end_mb": round(told["now"] / 1e6),
        "bound_mb": round(bound / 1e6),
        "weights_mb": round(size / 1e6),
        "kv_mb": round(told["kv"] / 1e6),
        "within": told["peak"] <= bound and told["done"] == documents,
    }


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description="Measure the peak memory of loading and running a model.")
    parser.add_argument("--dtype", default="bf16", choices=sorted(WEIGHT_BYTES))
    parser.add_argument("--shape", default="1.5b", choices=sorted({*SHAPES, *gguf_shapes.SHAPES}))
    parser.add_argument("--gguf", default="", choices=["", *gguf_shapes.SCALES], help="a GGUF file of this block type")
    parser.add_argument("--folder", default="", help="where the weights are, or shall be written and stay")
    parser.add_argument("--documents", type=int, default=4)
    options = parser.parse_args()
    if options.shape not in (gguf_shapes.SHAPES if options.gguf else SHAPES):
        parser.error(f"the shape {options.shape} is {'not for' if options.gguf else 'for'} --gguf")
    with contextlib.ExitStack() as stack:
        place = options.folder or stack.enter_context(tempfile.TemporaryDirectory())
        if options.gguf:
            shape = gguf_shapes.SHAPES[options.shape]
            os.makedirs(place, exist_ok=True)
            place = os.path.join(place, f"{options.shape}-{options.gguf}.gguf")
            if not os.path.exists(place):
                gguf_shapes.write_shape(Path(place), shape, options.gguf)
            weights, vocabulary = shape.weights, shape.vocabulary
        else:
            weights, vocabulary = SHAPES[options.shape].weights, SHAPES[options.shape].vocabulary
            if not os.path.exists(os.path.join(place, "config.json")):
                write_folder(SHAPES[options.shape], place)
        found = measure(place, weights, vocabulary, options.dtype, options.documents)
    print(json.dumps({"shape": options.shape, "blocks": options.gguf, **found}))
    return 0 if found["within"] else 1


if __name__ == "__main__":
    sys.exit(main())
