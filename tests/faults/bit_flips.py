"""Flips single bits of a journal, and of its log, and sees that the engine starts and passes nothing off as genuine.

    python -m tests.faults.bit_flips --flips 10000 --seed 7

Each flip is of a fresh copy. Most go through the store in this process: open, read every job, export every pile, compare
with what was written. Every fiftieth goes through the engine: the same ``heddle run`` again, with the stub's model. The
last line is JSON: flips; started, those after which the journal opened and every pile could be exported; silent, those
after which a value differs that says it is genuine, or a row or job is missing or changed and nobody was told. The exit
code is 1 unless all started and none was silent.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
for place in (ROOT, ROOT / "tests", ROOT / "tests" / "faults"):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

import numpy as np  # noqa: E402 - after the path

from engine.requests.output import Encoded, Output  # noqa: E402 - after the path
from engine.store.export import jsonl_row, pile_rows  # noqa: E402 - after the path
from engine.store.journal import Journal  # noqa: E402
from engine.store.record import JobRecord, Record, Result  # noqa: E402

ENGINE = 50
"""Every flip of this number goes through the engine."""
LOG = 4
"""Every flip of this number is one of the log."""
DOCUMENTS = 30
PATIENCE = 120.0
FLAG = "damaged"
"""What the reason of every row says that is not what was written."""


@dataclass
class Truth:
    """A journal's files, and what is in them."""

    files: dict[str, bytes]
    jobs: dict[str, JobRecord] = field(default_factory=dict)
    rows: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    outputs: dict[int, str] = field(default_factory=dict)
    """Outputs of steps by document, as text."""


def fill(journal: Journal, number: int) -> None:
    """Write a job of every kind of row: ``number`` tells the jobs apart."""
    job = f"job{number}"
    journal.add_job(JobRecord(job, f"pile {number}", 5.5, "classify", {"labels": ["x", "y"]}, number, "finished", "m"))
    states = ("done", "done", "failed", "done", "skipped", "waiting")
    first = number * DOCUMENTS
    records = [
        Record(n, job, n, os.fsdecode(b"/pile/caf\xe9-%d.txt" % n), 100 + n, 10**18 + n, f"{n:064x}", "utf-8")
        for n in range(first + 1, first + DOCUMENTS + 1)
    ]
    journal.add_documents(records)
    for record in records:
        state = states[record.id % len(states)]
        known = {"tokens": record.id, "coverage": 0.5, "seconds": 0.25, "worker": 1}
        values = {name: getattr(record, name) for name in Record.__dataclass_fields__} | known
        if state == "done":
            vector = struct.pack("<3f", record.id, 0.5, 2.0) if number % 2 else None
            value = {"label": f"label {record.id}", "text": "what was said about it, at some length " * (record.id % 5)}
            result = Result(record.id, value, vector, 3 if vector else 0, f"key{record.id}")
            journal.finish(Record(**{**values, "state": state}), result)
        elif state != "waiting":
            journal.finish(Record(**{**values, "state": state, "reason": f"reason {record.id}"}), None)
        else:
            kept = np.array([record.id, 0.5], np.float32)
            journal.keep_output(record.id, 1, Encoded(f"part {record.id}", kept, 2), f"asked {record.id}")


def as_text(kept: dict[tuple[int, str], tuple[str, Output]]) -> str:
    """Return the outputs of a document as text, to be compared."""
    return repr(sorted(kept.items()))


def exported(journal: Journal, job: JobRecord) -> dict[str, dict[str, Any]]:
    """Return the rows of a job as an export has them, by path; a path that is there twice has a number behind it."""
    found: dict[str, dict[str, Any]] = {}
    for record, result in pile_rows(journal, job.id, vectors=True):
        row = jsonl_row(record, result, job.task)
        name = row["path"]
        while name in found:
            name += "+"
        found[name] = row
    return found


def make(folder: Path) -> tuple[Truth, Truth]:
    """Return a journal that was closed, and one whose process was killed with writes in the log."""
    path = folder / "pile.journal"
    journal = Journal(str(path))
    for number in range(2):
        fill(journal, number)
    journal.close()
    closed = Truth({"pile.journal": path.read_bytes()})
    with Journal(str(path)) as journal:
        tell(journal, closed)
    journal = Journal(str(path))
    fill(journal, 2)
    journal.flush()
    killed = Truth({name.name: name.read_bytes() for name in folder.iterdir() if not name.name.endswith("-shm")})
    tell(journal, killed)
    journal.close()
    return closed, killed


def tell(journal: Journal, truth: Truth) -> None:
    """Take down what is in a journal."""
    for job in journal.jobs():
        truth.jobs[job.id] = job
        truth.rows[job.id] = exported(journal, job)
        truth.outputs.update({number: as_text(kept) for number, kept in journal.outputs(job.id).items()})


def flipped(truth: Truth, name: str, bit: int, folder: Path) -> Path:
    """Write a journal with one bit of the file ``name`` flipped into the empty ``folder``."""
    for file, data in truth.files.items():
        if file == name:
            data = bytearray(data)
            data[bit // 8] ^= 1 << bit % 8
        (folder / file).write_bytes(data)
    return folder / "pile.journal"


def judge(expected: dict[str, dict[str, Any]], found: dict[str, dict[str, Any]], *, told: bool) -> list[str]:
    """Return what is silently wrong with the rows of a job."""
    wrong: list[str] = []
    for path, row in expected.items():
        there = found.get(path)
        if there is not None and told and not there.get("task", ""):
            row = {**row, "task": there["task"]} if "task" in row else row  # a job without its row has no task
        if there is None:
            if not told:
                wrong.append(f"{path} is missing")
        elif there != row:
            if there["result"] is not None or there["state"] == "done":
                wrong.append(f"{path} is {there}, and was {row}")
            elif not told:
                wrong.append(f"{path} has changed, and nobody was told")
    for path, row in found.items():
        if path not in expected and (row["result"] is not None or FLAG not in row["error"]):
            wrong.append(f"{path} was never written: {row}")
    return wrong


def through_store(truth: Truth, path: Path) -> tuple[bool, list[str]]:
    """Return whether the journal opened and could be exported, and what is silently wrong."""
    try:
        journal = Journal(str(path))
    except Exception as error:
        return False, [f"does not open: {type(error).__name__}: {error}"]
    wrong: list[str] = []
    try:
        jobs = {job.id: job for job in journal.jobs()}
        rows = {job.id: exported(journal, job) for job in jobs.values()}
        counts = journal.counts_by_job()
        told = bool(journal.notes)
        for name, job in truth.jobs.items():
            if name not in jobs:
                wrong += [] if told else [f"{name} is missing"]
                continue
            if jobs[name] != job and not told:
                wrong.append(f"{name} is {jobs[name]}")
            wrong += judge(truth.rows[name], rows[name], told=told)
            for number, kept in journal.outputs(name).items():
                if as_text(kept) != truth.outputs.get(number):
                    wrong.append(f"an output of {number} is {kept}")
            if sum(counts.get(name, {}).values()) != len(rows[name]):
                wrong.append(f"{name} has {len(rows[name])} rows, and counts {counts.get(name)}")
    except Exception as error:
        return False, [f"cannot be exported: {error}"]
    finally:
        journal.close()
    return True, wrong


class Engine:
    """A pile that ``heddle run`` has done, and goes on with after a flip."""

    def __init__(self, folder: Path) -> None:
        self._pile, self._out = folder / "pile", folder / "rows.jsonl"
        self._pile.mkdir(parents=True)
        for number in range(12):
            (self._pile / f"{number}.txt").write_text(f"{number} many threads over the desk")
        code, errors = self._run()
        assert code == 0, errors
        self._truth = Truth({"rows.jsonl.journal": Path(f"{self._out}.journal").read_bytes()})
        self._rows = self._read()

    def _run(self) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, str(ROOT / "tests/faults/stub_engine.py"), "run", "embed", str(self._pile)]
            + ["--out", str(self._out), "--model", str(ROOT)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            cwd=ROOT,
            timeout=PATIENCE,
            check=False,
        )
        return done.returncode, done.stderr.decode(errors="replace")

    def _read(self) -> dict[str, dict[str, Any]]:
        lines = self._out.read_text("utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        kept = ("path", "state", "result", "error")
        found = {row["path"]: {name: row[name] for name in kept} for row in rows}
        assert len(found) == len(rows), "a path is there twice"
        return found

    def flip(self, chosen: random.Random) -> tuple[bool, list[str]]:
        """Flip a bit and run the same command again: it does what is missing, so that all rows are there and right."""
        (name,) = self._truth.files
        folder = self._out.parent
        for file in list(folder.iterdir()):
            if file != self._pile:
                file.unlink()
        data = bytearray(self._truth.files[name])
        bit = chosen.randrange(8 * len(data))
        data[bit // 8] ^= 1 << bit % 8
        (folder / name).write_bytes(data)
        code, errors = self._run()
        if code not in {0, 1}:
            return False, [f"bit {bit}: the engine ended with {code}: {errors[-500:]}"]
        found = self._read()
        wrong = judge(self._rows, found, told=FLAG in errors)
        wrong += [f"{path} was not done again" for path in self._rows if path not in found]
        return True, [f"bit {bit}: {line}" for line in wrong]


def run(flips: int, seed: int, *, tell_all: Callable[[str], None] = print, engine: int = ENGINE) -> dict[str, int]:
    """Flip ``flips`` bits and return the figures of the last line; what goes wrong is told at once."""
    logging.disable(logging.ERROR)
    chosen = random.Random(seed)
    started = silent = 0
    # A memory disk, where there is one: thousands of commits would wait for a real disk.
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    try:
        with tempfile.TemporaryDirectory(prefix="heddle-flips-", dir=memory) as name:
            folder = Path(name)
            made = folder / "made"
            made.mkdir()
            closed, killed = make(made)
            through_engine = Engine(folder / "engine") if flips >= engine else None
            work = folder / "work"
            for number in range(1, flips + 1):
                shutil.rmtree(work, ignore_errors=True)
                work.mkdir()
                if through_engine is not None and number % engine == 0:
                    opened, wrong = through_engine.flip(chosen)
                else:
                    truth, file = (killed, "pile.journal-wal") if number % LOG == 0 else (closed, "pile.journal")
                    bit = chosen.randrange(8 * len(truth.files[file]))
                    opened, wrong = through_store(truth, flipped(truth, file, bit, work))
                    wrong = [f"{file}, bit {bit}: {line}" for line in wrong]
                started += opened
                silent += bool(wrong) and opened
                for line in wrong:
                    tell_all(f"flip {number}: {line}"[:1000])
    finally:
        logging.disable(logging.NOTSET)
    return {"flips": flips, "started": started, "silent": silent}


def main() -> int:
    """Run as a command; returns the exit code."""
    parser = argparse.ArgumentParser(description="Flip bits of a journal, and see that nothing passes for genuine.")
    parser.add_argument("--flips", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    found = run(chosen.flips, chosen.seed)
    print(json.dumps(found))
    return 0 if (found["started"], found["silent"]) == (chosen.flips, 0) else 1


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
