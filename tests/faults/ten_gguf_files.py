"""Ten GGUF files, good and bad, opened and asked through one Engine, one after the other: each ends as it should.

    python tests/faults/ten_gguf_files.py [--large 8b] [--blocks Q4_K] [--dtype int4]

Six come from llama.cpp's own tools (families and block types mixed, two of them split), two are damaged, one is of an
architecture that is not read, and one has random weights in the shape of an 8B model, or of another (``--large tiny``).
Prints a line a file and at last a line of JSON; the exit code is 1 when one ended otherwise, or the process took more memory
than the large one in its format * 1.15 + 900 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for place in (str(ROOT), str(ROOT / "tests")):
    if place not in sys.path:
        sys.path.insert(0, place)

import gguf_files  # noqa: E402 - after the path
import gguf_shapes  # noqa: E402

from engine.api.plan import Plan  # noqa: E402
from engine.bench.limits import WEIGHT_BYTES  # noqa: E402
from engine.bench.side_process import peak_rss  # noqa: E402
from engine.engine import Engine  # noqa: E402
from engine.errors import ModelError  # noqa: E402

SHARE, FIXED = 1.15, 900e6
"""What the weights may take beside themselves, and what Python, torch and transformers may take, in bytes; keys and values
of the few tokens here are left out."""

MADE = ROOT / "tests" / "engine" / "models" / "formats" / "llama_cpp_models"
DOCUMENTS = 2


@dataclass(frozen=True)
class Case:
    """A file to open: answers are expected of it, or a refusal that names it and holds ``refused``."""

    path: Path
    refused: str = ""
    dtype: str = "float32"


def write_cases(folder: Path, large: str, blocks: str, dtype: str) -> list[Case]:
    """Write the ten into ``folder``."""
    for name in ("llama", "qwen3", "gemma3", "phi3", "mistral", "qwen2-split", "gemma3-split"):
        with tarfile.open(MADE / f"{name}.tar.xz") as archive:
            archive.extractall(folder, filter="data")
    cut = folder / "cut.gguf"
    whole = (folder / "gemma3-Q5_K.gguf").read_bytes()
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    moved = folder / "moved.gguf"
    moved.write_bytes(_tensor_moved((folder / "llama-Q8_0.gguf").read_bytes(), b"blk.1.ffn_up.weight"))
    unknown = folder / "unknown.gguf"
    gguf_files.write(unknown, {"general.architecture": "rwkv7", **gguf_files.vocabulary()}, {})
    shaped = gguf_shapes.write_shape(folder / f"{large}-{blocks}.gguf", gguf_shapes.SHAPES[large], blocks)
    return [
        Case(folder / "llama-Q4_K.gguf"),
        Case(folder / "qwen3-Q5_1.gguf"),
        Case(folder / "phi3-Q6_K.gguf"),
        Case(folder / "mistral-Q4_0.gguf"),
        Case(folder / "qwen2-split-00002-of-00004.gguf"),
        Case(folder / "gemma3-split-00001-of-00003.gguf"),
        Case(cut, "is cut off"),
        Case(moved, "overlap"),
        Case(unknown, "family rwkv7"),
        Case(shaped, dtype=dtype),
    ]


def _tensor_moved(data: bytes, name: bytes) -> bytes:
    """Return the file with a tensor's place set to that of the first tensor of all."""
    end = data.index(name) + len(name)
    dimensions = int.from_bytes(data[end : end + 4], "little")
    place = end + 4 + 8 * dimensions + 4
    return data[:place] + bytes(8) + data[place + 8 :]


def end_of(case: Case, engine: Engine) -> dict[str, object]:
    """Open a file and ask it about two documents; returns how that ended, and whether it should have."""
    begun = time.process_time()
    said = state = ""
    answers = 0
    name = case.path.name
    try:
        engine.set_plan(Plan("cpu", 1, 1, case.dtype, DOCUMENTS)).result()
        engine.open_model(str(case.path)).result()
        engine.create_job(name)
        engine.add_texts(name, [(str(n), "The thin error: 42") for n in range(DOCUMENTS)]).result()
        engine.submit(name, "generate", {"prompt": "{text}", "max_new_tokens": 4})
        engine.wait(name)
        answers = sum(result is not None for _, result in engine.journal.results(name))
        state = engine.loaded.mode if engine.loaded is not None else ""
    except ModelError as error:
        said, state = str(error), "refused"
    right = answers == DOCUMENTS and state == "slots"
    if case.refused:
        right = case.refused in said and name in said
    elif not right and "of memory are free" in said:
        right = True  # with its figures, before anything was read
    seconds = round(time.process_time() - begun, 1)
    return {"file": name, "end": state, "answers": answers, "said": said, "cpu_s": seconds, "as_it_should": right}


def run(large: str, blocks: str, dtype: str) -> list[dict[str, object]]:
    """Write the ten, open and ask one after the other, print a line of each, and return how they ended."""
    found: list[dict[str, object]] = []
    engine = Engine()
    try:
        with tempfile.TemporaryDirectory() as folder:
            for case in write_cases(Path(folder), large, blocks, dtype):
                found.append(end_of(case, engine))
                print(json.dumps(found[-1]), flush=True)
    finally:
        engine.close()
    return found


def main() -> int:
    """Run and print; returns the exit code."""
    parser = argparse.ArgumentParser(description="Open ten GGUF files, good and bad.")
    parser.add_argument("--large", default="8b", choices=sorted(gguf_shapes.SHAPES))
    parser.add_argument("--blocks", default="Q4_K", choices=sorted(gguf_shapes.SCALES))
    parser.add_argument("--dtype", default="int4", choices=sorted(WEIGHT_BYTES))
    options = parser.parse_args()
    found = run(options.large, options.blocks, options.dtype)
    right = sum(bool(each["as_it_should"]) for each in found)
    peak = peak_rss(os.getpid())
    bound = gguf_shapes.SHAPES[options.large].weights * WEIGHT_BYTES[options.dtype] * SHARE + FIXED
    told = {"files": len(found), "as_they_should": right, "large": options.large, "dtype": options.dtype}
    told |= {"peak_mb": round(peak / 1e6), "bound_mb": round(bound / 1e6)}
    print(json.dumps(told))
    return 0 if right == len(found) and peak <= bound else 1


if __name__ == "__main__":
    sys.exit(main())
