"""Records twelve commands, their exports and reports, so that a rebuilt engine can be compared with the one before.

    python -m tests.golden.record FOLDER [--tree CHECKOUT] [--python PYTHON]

Runs the commands of CHECKOUT (this one by default) with float32 and one worker of one thread over the sample pile, a
pile of every kind of file and generated texts, and writes all that they leave under FOLDER, with the exit codes in
codes.json. ``tests.golden.compare`` tells two such folders apart.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
for place in (ROOT, ROOT / "tests"):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

import copying_model  # noqa: E402 - after the path

LABELS = "billing: an invoice or a charge, delivery: a parcel that is late, praise: somebody is happy"
PLAN = ("--lanes", "1", "--threads", "1", "--dtype", "float32", "--quiet")
PATIENCE = 300.0
"""Seconds that a command may take before the recording gives up."""


@dataclass(frozen=True)
class Command:
    """One command: its name, its arguments with {places}, and whether it is killed once and given again."""

    name: str
    arguments: tuple[str, ...]
    killed: bool = False
    twice: bool = False


COMMANDS = (
    Command("classify-csv", ("classify", "{mails}", "--labels", LABELS, "--out", "{out}.csv", "--report", "{out}.json")),
    Command("classify-jsonl", ("classify", "{mails}", "--labels", LABELS, "--threshold", "0.2", "--out", "{out}.jsonl")),
    Command("classify-report", ("classify", "{mails}", "--labels", LABELS, "--out", "{out}.md")),
    Command("classify-texts", ("classify", "{mails}", "--labels", LABELS, "--out", "{out}/")),
    Command("embed-vectors", ("embed", "{mails}", "--out", "{out}.npy")),
    Command("embed-every-file", ("embed", "{files}", "--out", "{out}.csv")),
    Command("embed-long-head", ("embed", "{long}", "--on-overflow", "head", "--out", "{out}.jsonl")),
    Command("embed-long-fail", ("embed", "{long}", "--on-overflow", "fail", "--out", "{out}.jsonl", "--live", "{out}-live.jsonl")),
    Command("embed-killed", ("embed", "{long}", "--out", "{out}.jsonl"), killed=True),
    Command("embed-twice", ("embed", "{mails}", "--out", "{out}.jsonl"), twice=True),
    Command("generate-split", ("generate", "{keys}", "--model", "{writer}", "--prompt", "{text}", "--max-new-tokens", "10", "--temperature", "0", "--on-overflow", "split", "--out", "{out}.jsonl")),
    Command("generate-fail", ("generate", "{keys}", "--model", "{writer}", "--prompt", "{text}", "--max-new-tokens", "10", "--temperature", "0", "--on-overflow", "fail", "--out", "{out}.csv", "--report", "{out}.json")),
)  # fmt: skip


def make_piles(folder: Path) -> dict[str, str]:
    """Write the piles and the writer under ``folder``; returns their paths by the name that commands use."""
    long, keys, files = folder / "long", folder / "keys", folder / "files"
    for place in (long, keys, files):
        place.mkdir(parents=True)
    draw = random.Random(16)
    words = [
        "thread",
        "loom",
        "shuttle",
        "weft",
        "warp",
        "bobbin",
        "heddle",
        "selvage",
        "pick",
        "beam",
        "reed",
        "cloth",
        "yarn",
        "dye",
    ]
    for number in range(160):
        text = " ".join(draw.choice(words) for _ in range(draw.choice((20, 90, 250, 700, 1500))))
        (long / f"{number:03d}.txt").write_text(text, "utf-8")
    for number in range(48):
        prompt, _ = copying_model.make_prompt(number, draw.choice((30, 200, 700, 1400)))
        (keys / f"{number:03d}.txt").write_text(prompt, "utf-8")
    contents = {
        "plain.txt": b"The lift has been out of order since Monday.\n",
        "empty.txt": b"",
        "mark.txt": b"\xef\xbb\xbf",
        "picture.txt": b"\x89PNG\r\n\x1a\n" + bytes(64),
        "utf16.txt": "The lift is out of order.".encode("utf-16"),
        "gb18030.txt": "您好，我上个星期在你们的网站买了一台洗衣机，可是到今天还没有收到。".encode("gb18030"),
        "bad.txt": b"The lift has been out of order \xff since Monday.\n",
        "=formula.txt": b"=1+1 is what the lift says.\n",
    }
    for name, data in contents.items():
        (files / name).write_bytes(data)
    writer = folder / "writer"
    writer.mkdir()
    copying_model.make_folder(str(writer))
    mails = ROOT / "assets" / "samples" / "mails"
    return {"mails": str(mails), "long": str(long), "keys": str(keys), "files": str(files), "writer": str(writer)}


def run(command: Command, places: dict[str, str], folder: Path, tree: Path, python: str) -> int:
    """Run one command of ``tree`` in ``folder`` and return its last exit code; what it prints is kept beside its exports."""
    values = {**places, "out": str(folder / command.name)}
    arguments = [value if value in (LABELS, "{text}") else value.format(**values) for value in command.arguments]
    line = [python, "-m", "engine.cli", "run", *arguments, *PLAN]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1"}
    with open(folder / f"{command.name}.said", "wb") as said:
        if command.killed:
            process = subprocess.Popen(line, env=environment, stdout=said, stderr=said)
            journal = folder / f"{command.name}.jsonl.journal-wal"
            began = time.monotonic()
            while process.poll() is None and time.monotonic() - began < PATIENCE:
                if journal.exists() and journal.stat().st_size > 60_000:  # some documents are done, many are not
                    process.kill()
                    break
                time.sleep(0.02)
            if process.wait() >= 0:
                print(f"{command.name}: ended before it could be killed", flush=True)
        code = 0
        for _ in range(2 if command.twice else 1):
            code = subprocess.run(
                line, env=environment, stdout=said, stderr=said, timeout=PATIENCE, check=False
            ).returncode
    return code


def main(arguments: list[str] | None = None) -> int:
    """Record into the folder that the command line names; 1 when it exists already."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tree", type=Path, default=ROOT, help="the checkout whose engine runs")
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args(arguments)
    folder = options.folder.resolve()
    if folder.exists():
        print(f"{folder} is there already.")
        return 1
    piles = folder.parent / f"{folder.name}-piles"  # the same paths each time a folder of that name is recorded
    shutil.rmtree(piles, ignore_errors=True)
    places = make_piles(piles)
    folder.mkdir(parents=True)
    codes = {}
    for command in COMMANDS:
        began = time.monotonic()
        codes[command.name] = run(command, places, folder, options.tree.resolve(), options.python)
        print(f"{command.name:<20} exit {codes[command.name]}  {time.monotonic() - began:.1f} s", flush=True)
    (folder / "codes.json").write_text(json.dumps(codes, indent=1), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
