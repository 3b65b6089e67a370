"""What the tests of faults share: the stub's command line, and disks that come, fill up and go."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
STUB = str(ROOT / "tests/faults/stub_engine.py")


def start(pile, out, *more: str, environment: dict[str, str] | None = None, **options) -> subprocess.Popen:
    """Start ``heddle run embed`` with the stub's model."""
    return subprocess.Popen(
        [sys.executable, STUB, "run", "embed", str(pile), "--out", str(out), "--model", str(ROOT), *more],
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        **options,
    )


def finish(process: subprocess.Popen, seconds: float = 60.0) -> tuple[int, str]:
    """Return exit code and standard error of a command that ends by itself."""
    try:
        _, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        _, errors = process.communicate()
        pytest.fail(f"the command does not end: {errors}")
    return process.returncode, errors


def rows_of(path) -> dict[str, dict]:
    """Return the rows of a JSONL result by the documents' base names; fails for one that is there twice."""
    rows = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    found = {os.path.basename(row["path"]): row for row in rows}
    assert len(found) == len(rows)
    return found


def make_pile(folder: Path, count: int, words: int = 30) -> Path:
    """Write ``count`` documents."""
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:04}.txt").write_text(f"{number} " + "many threads over the desk " * (words // 5))
    return folder


@contextlib.contextmanager
def mounted(place: Path, *options: str) -> Iterator[None]:
    """Mount something at ``place``; skips the test where that is not allowed."""
    place.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *options, str(place)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"NOT RUN, this fault was not produced: no right to mount a disk here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], capture_output=True, check=False)


def fill_up(ballast: Path) -> None:
    """Write ``ballast`` until its disk takes not a byte more."""
    with open(ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
