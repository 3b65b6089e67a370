"""Memory that one long text takes beside the model, on every policy for what does not fit the window.

    python tests/bench/long_text.py --megabytes 200 [--seconds 120] [--tasks embed,generate] [--policies head,tail,fail,split]

Every policy runs in a process of its own, with tiny models, two workers, and two such texts at once with ``--texts 2``.
A run that takes longer than --seconds is interrupted, and what it took until then counts (a text of 200 MB has a million
windows of a tiny model). One line of JSON for each: growth is the peak of resident memory over what there was when the
model was open and had run once, in MB.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
for place in (ROOT, ROOT / "tests"):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

LINE = "2026-11-30 12:00:00 worker 7 finished request 123456 in 0.42 s, 1,024 tokens\n"
POLICIES = ("head", "tail", "fail", "split")
TASKS: dict[str, list[str]] = {
    "embed": [],
    "generate": ["--prompt", "What is this? {text}", "--max-new-tokens", "2"],
}


def write_text(path: Path, megabytes: int) -> Path:
    """Write a log of that size."""
    block = LINE * (1_000_000 // len(LINE) + 1)
    with open(path, "w", encoding="ascii") as file:
        file.writelines(block[:1_000_000] for _ in range(megabytes))
    return path


def make_models(folder: Path) -> dict[str, str]:
    """Make a tiny encoder and a tiny text generator; returns their folders by task."""
    from model_folders import make_folder

    folder.mkdir(exist_ok=True)
    for name in TASKS:
        (folder / name).mkdir(exist_ok=True)
    return {
        "embed": make_folder(folder / "embed", "bert", positions=256),
        "generate": make_folder(folder / "generate", "qwen3", modules=False, head="ForCausalLM", positions=256),
    }


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(runs: list[list[str]], warm: list[str], seconds: float) -> list[dict[str, Any]]:
    """Run commands of ``heddle`` one after the other; returns exit code and growth of each, after one to warm up."""
    from engine.cli.main import main

    main(warm)
    base = resident()
    told: list[dict[str, Any]] = []
    for arguments in runs:
        peak, over = [base], threading.Event()

        def watch(peak: list[int] = peak, over: threading.Event = over) -> None:
            while not over.wait(0.02):
                peak[0] = max(peak[0], resident())

        watcher = threading.Thread(target=watch)
        clock = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
        watcher.start()
        clock.start()
        begin = time.monotonic()
        try:
            code = main(arguments)
        finally:
            clock.cancel()
            over.set()
            watcher.join()
        told.append({"code": code, "growth": (peak[0] - base) >> 20, "seconds": round(time.monotonic() - begin, 1)})
    return told


def command(task: str, policy: str, texts: list[str], model: str, out: str) -> list[str]:
    """Return a command over the texts."""
    more = ["--workers", "2", "--threads", "1", "--dtype", "float32", "--quiet"]
    return ["run", task, *TASKS[task], "--on-overflow", policy, *texts, "--model", model, "--out", out, *more]


def main() -> int:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--texts", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--policies", default=",".join(POLICIES))
    parser.add_argument("--inside", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        order = json.loads(options.inside)
        with contextlib.redirect_stdout(sys.stderr):
            told = measure(order["runs"], order["warm"], order["seconds"])
        print(json.dumps(told))
        return 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        models = make_models(folder / "models")
        texts = [str(write_text(folder / f"big{n}.log", options.megabytes)) for n in range(options.texts)]
        short = folder / "short.txt"
        short.write_text(LINE)
        for task in options.tasks.split(","):
            for policy in options.policies.split(","):
                warm = command(task, policy, [str(short)], models[task], str(folder / "warm.jsonl"))
                run = command(task, policy, texts, models[task], str(folder / f"{task}-{policy}.jsonl"))
                (told,) = inside([run], warm, options.seconds)
                print(json.dumps({"task": task, "policy": policy, **told}), flush=True)
    return 0


def inside(runs: list[list[str]], warm: list[str], seconds: float) -> list[dict[str, Any]]:
    """Return what ``measure`` says in a process of its own."""
    order = json.dumps({"runs": runs, "warm": warm, "seconds": seconds})
    done = subprocess.run(
        [sys.executable, __file__, "--inside", order], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
    )
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
