"""FAULTS 37: what SQLite does not take costs its own document, and the command and the window say so alike."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from pathlib import Path

import pytest
from engine_helpers import wait_until
from faulty import finish, make_pile, rows_of, start
from stub_engine import StubManager

from engine.engine import Engine

YEAR_2300 = 10_413_792_000


@contextlib.contextmanager
def dated_2300(count: int):
    """A pile with one document of the year 2300, on a disk that can hold such a date."""
    with contextlib.ExitStack() as made:
        for place in (None, "/dev/shm"):
            if place is None or os.path.isdir(place):
                folder = Path(made.enter_context(tempfile.TemporaryDirectory(dir=place)))
                pile = make_pile(folder / "pile", count)
                os.utime(pile / "0007.txt", (YEAR_2300, YEAR_2300))
                if os.stat(pile / "0007.txt").st_mtime_ns >= 2**63:
                    yield pile
                    return
        pytest.skip("NOT RUN: no disk here keeps a date of the year 2300")


def test_a_document_of_the_year_2300_takes_no_other_along_and_is_done_itself():
    with dated_2300(300) as pile:
        for _ in range(2):  # and the same command finds it unchanged
            code, errors = finish(start(pile, pile.parent / "rows.jsonl"))
            assert code == 0, errors
            rows = rows_of(pile.parent / "rows.jsonl")
            assert len(rows) == 300
            assert {row["state"] for row in rows.values()} == {"done"}
        assert "300 of 300 documents are done" in errors


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """An engine with the stub's model, in this process."""
    monkeypatch.setattr("engine.engine.ModelManager", StubManager)
    engine = Engine(str(tmp_path / "journal"))
    yield engine
    engine.close(10.0)


def started(engine: Engine, pile: Path) -> None:
    engine.create_job("job")
    engine.add_paths("job", [str(pile)]).result(30)
    assert engine.journal.flush(30)


def test_the_window_is_told_of_a_row_that_the_journal_refuses(engine, tmp_path):
    pile = make_pile(tmp_path / "pile", 40)
    (pile / "0050.txt").write_text("a longer one " * 400)
    started(engine, pile)
    with engine.journal._write_gate:  # SQLite's own limit plays the value that it does not take
        engine.journal._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 6_000)
    (odd,) = [record.id for record in engine.journal.documents("job") if record.path.endswith("0050.txt")]
    engine.coordinator.key_of = lambda _job, record: "k" * 10_000 if record.id == odd else ""
    engine.submit("job", "embed")
    engine.open_model("stub").result(30)
    assert engine.wait("job", 30)
    engine.journal.flush(30)
    rows = {}
    while told := [row for rows in engine.snapshot().rows for row in rows.rows]:
        rows |= {row.id: row for row in told}
    assert [row.id for row in rows.values() if row.state != "done"] == [odd]
    assert rows[odd].state == "failed"
    assert "too big" in rows[odd].reason
    assert engine.piles.counts("job")["done"] == 40
    assert engine.journal.counts("job")["done"] == 40
    assert engine.journal.document(odd).state == "failed"


def test_a_job_pauses_and_says_why_when_the_journal_takes_nothing_any_more(engine, tmp_path):
    started(engine, make_pile(tmp_path / "pile", 40))
    with contextlib.closing(sqlite3.connect(tmp_path / "journal")) as other:
        other.execute("ALTER TABLE document RENAME COLUMN seconds TO lost")
    engine.submit("job", "embed")
    engine.open_model("stub").result(30)
    wait_until(engine, "job", lambda job: job.status == "paused")
    (job,) = engine.snapshot().jobs
    assert job.status == "paused"
    assert "cannot be written any more" in job.message
