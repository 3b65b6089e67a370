"""A task with two steps: killed between them it goes on with the second; what fails in a step costs its document."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faulty import ROOT, finish, rows_of
from kept_outputs import kept_in
from stub_engine import HANGS, NEVER_COUNTED, PROTOCOL, vector_of
from two_step_engine import STUMBLES

TEXTS = {"a.txt": "the first one of many", "b.txt": "and another text"}


def start(folder: Path, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "tests/faults/two_step_engine.py"), "run", "twice", str(folder / "pile"), "--out",
         str(folder / "rows.jsonl"), "--model", str(ROOT)],
        env={**os.environ, "PYTHONPATH": str(ROOT), PROTOCOL: str(folder / "runs"), **environment},
        stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip


def make(folder: Path, texts: dict[str, str]) -> None:
    (folder / "pile").mkdir()
    for name, text in texts.items():
        (folder / "pile" / name).write_text(text)


def runs_in(folder: Path) -> list[str]:
    """Return the document of every request that a worker has finished."""
    return sorted(os.path.basename(line) for line in (folder / "runs").read_text().splitlines())


def check(row: dict, text: str, of: int) -> None:
    """Check that a row holds what both steps made of ``text``, and what the end of the job added."""
    assert row["state"] == "done"
    assert row["result"]["first"] == vector_of(text).tolist()
    assert row["result"]["second"] == vector_of(f"{text} {NEVER_COUNTED}").tolist()
    assert row["result"]["once"] == vector_of("once for all").tolist()
    assert row["result"]["of"] == of


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_task_that_is_killed_between_its_steps_goes_on_with_the_second(tmp_path):
    make(tmp_path, TEXTS)
    process = start(tmp_path, **{HANGS: "1"})
    end = time.monotonic() + 60
    try:
        while kept_in(tmp_path / "rows.jsonl.journal") < len(TEXTS):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < end
            os.sched_yield()
    finally:
        process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert runs_in(tmp_path) == sorted(TEXTS), "the first step of each"
    (tmp_path / "runs").unlink()
    code, errors = finish(start(tmp_path))
    assert code == 0, errors
    assert runs_in(tmp_path) == sorted(TEXTS), "the second step of each, and the first not again"
    for name, row in rows_of(tmp_path / "rows.jsonl").items():
        check(row, TEXTS[name], len(TEXTS))
    assert kept_in(tmp_path / "rows.jsonl.journal") == 0, "what was kept goes with the end of its document"


def test_a_step_that_fails_costs_its_document_and_the_end_of_the_job_revises_the_others(tmp_path):
    make(tmp_path, {**TEXTS, "c.txt": f"this one {STUMBLES}"})
    code, errors = finish(start(tmp_path))
    assert code == 1, errors
    rows = rows_of(tmp_path / "rows.jsonl")
    failed = rows.pop("c.txt")
    assert failed["state"] == "failed"
    assert "over a stone" in failed["error"]
    for name, row in rows.items():
        check(row, TEXTS[name], len(TEXTS))
    assert runs_in(tmp_path) == sorted([*TEXTS, "c.txt"] * 2)
