"""Tells two recordings of ``tests.golden.record`` apart.

    python -m tests.golden.compare BEFORE AFTER [--same FILE.json]

With two recordings of one engine, ``--same`` writes which files came out byte for byte (the folders' own names apart).
Given to a later comparison it demands those again. All other files are compared by what they say: rows in order, labels,
texts and states equal, numbers within 1e-5; times, the worker that had a document, and the renames of RENAMED apart.
Prints every difference; the last line is JSON, and the exit code is 1 if there were any.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

CLOSE = 1e-5
RENAMED = {"lane": "worker", "lanes": "workers"}
"""Names of before and what they are called now."""
FLEETING = re.compile(
    r"seconds|elapsed|per_s|_at$|time|wall|cpu|busy|idle|utili|memory|bytes|rss|version|machine|threads?$|worker$|lane$|ttft|gil_share"
)
"""Names of values that differ from run to run."""
_TIMES = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d|\d+([.,:]\d+)*( ?(s|ms|min|MB|GB))\b")
TABLES = {".csv", ".jsonl"}


def normal(data: bytes, folder: Path) -> bytes:
    """Return a file's bytes with the recording's own folder written as a mark."""
    return data.replace(str(folder.resolve()).encode(), b"{RECORDING}")


def files_of(folder: Path) -> dict[str, Path]:
    """Return the exports and reports of a recording by relative name; journals and what was said are left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and ".journal" not in name and not name.endswith(".said"):
            found[name] = path
    return found


def rows_of(path: Path, folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a table as objects, sorted by path where the file grew while the run did."""
    text = normal(path.read_bytes(), folder).decode("utf-8-sig")
    if path.suffix == ".csv":
        rows: list[dict[str, Any]] = list(csv.DictReader(text.splitlines(keepends=True)))
    else:
        rows = [json.loads(line) for line in text.splitlines()]
    return sorted(rows, key=lambda row: str(row.get("path"))) if "-live" in path.name else rows


def differences(before: Any, after: Any, where: str) -> list[str]:
    """Return what differs between two JSON values, each with its place; values that only pass are left out."""
    if isinstance(before, dict) and isinstance(after, dict):
        renamed = {RENAMED.get(name, name): value for name, value in before.items()}
        after = {RENAMED.get(name, name): value for name, value in after.items()}
        found = []
        for name in sorted(renamed.keys() | after.keys()):
            if FLEETING.search(name):
                continue
            if name not in renamed or name not in after:
                found.append(f"{where}.{name}: only {'after' if name in after else 'before'}")
            else:
                found += differences(renamed[name], after[name], f"{where}.{name}")
        return found
    if isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after):
            return [f"{where}: {len(before)} before, {len(after)} after"]
        return [
            line
            for n, (one, other) in enumerate(zip(before, after, strict=True))
            for line in differences(one, other, f"{where}[{n}]")
        ]
    if before == after:
        return []
    numbers = _number(before), _number(after)
    if None not in numbers and math.isclose(*numbers, rel_tol=CLOSE, abs_tol=CLOSE):  # pyright: ignore[reportArgumentType]
        return []
    return [f"{where}: {before!r:.120} before, {after!r:.120} after"]


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def compare_file(before: Path, after: Path, folders: tuple[Path, Path]) -> list[str]:
    """Return what two files say differently."""
    name = before.name
    if before.suffix in TABLES:
        return differences(rows_of(before, folders[0]), rows_of(after, folders[1]), name)
    if before.suffix == ".npy":
        one, other = np.load(before), np.load(after)
        if one.shape != other.shape:
            return [f"{name}: {one.shape} before, {other.shape} after"]
        apart = float(np.abs(one - other).max(initial=0.0))
        return [f"{name}: up to {apart:g} apart"] if apart > CLOSE else []
    data = normal(before.read_bytes(), folders[0]), normal(after.read_bytes(), folders[1])
    if before.suffix == ".json":
        return differences(json.loads(data[0]), json.loads(data[1]), name)
    texts = [_TIMES.sub("#", text.decode()) for text in data]
    lines = [text.splitlines() for text in texts]
    return [
        f"{name}: {one!r:.100} before, {other!r:.100} after" for one, other in zip(*lines, strict=False) if one != other
    ]


def main(arguments: list[str] | None = None) -> int:
    """Compare the two recordings that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument(
        "--same", type=Path, help="which files are to be the same byte for byte; written if it is not there"
    )
    options = parser.parse_args(arguments)
    folders = options.before, options.after
    before, after = files_of(folders[0]), files_of(folders[1])
    found = [f"{name}: only in one recording" for name in sorted(before.keys() ^ after.keys())]
    identical = []
    for name in sorted(before.keys() & after.keys()):
        if normal(before[name].read_bytes(), folders[0]) == normal(after[name].read_bytes(), folders[1]):
            identical.append(name)
        else:
            found += compare_file(before[name], after[name], folders)
    if options.same:
        if options.same.exists():
            missing = sorted(set(json.loads(options.same.read_text("utf-8"))) - set(identical))
            found += [f"{name}: not the same bytes any more" for name in missing]
        else:
            options.same.write_text(json.dumps(identical, indent=1), "utf-8")
    print(*found, sep="\n")
    print(
        json.dumps({"files": len(before.keys() | after.keys()), "identical": len(identical), "differences": len(found)})
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
