"""FAULTS 3, 37: what a watcher sees done is on the disk; while the disk does not take it, nobody is told."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time

import pytest
from faulty import make_pile
from stub_engine import StubInside, StubManager

from engine.engine import Engine


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """An engine with the stub's model, in this process."""
    monkeypatch.setattr("engine.engine.ModelManager", StubManager)
    engine = Engine(str(tmp_path / "journal"))
    yield engine
    assert engine.close(10.0)


def told_done(engine: Engine) -> set[int]:
    return {row.id for told in engine.snapshot().rows for row in told.rows if row.state == "done"}


def until(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.005)


def test_a_row_is_told_as_done_only_when_another_reader_finds_it_on_the_disk(engine, tmp_path, monkeypatch):
    begun, gate = threading.Event(), threading.Event()
    run = StubInside.run

    def waits(inside, assignment):
        begun.set()
        assert gate.wait(30)
        run(inside, assignment)

    monkeypatch.setattr(StubInside, "run", waits)
    pile = make_pile(tmp_path / "pile", 40)
    engine.create_job("job")
    assert engine.add_paths("job", [str(pile)]).result(30)["added"] == 40
    engine.submit("job", "embed")
    engine.open_model("stub").result(30)
    assert begun.wait(30)
    assert engine.journal.flush(30)
    with contextlib.closing(sqlite3.connect(tmp_path / "journal", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # nobody else can commit now; until that is noticed, work is handed out
        gate.set()
        until(lambda: engine.piles.counts("job")["done"] >= 10)
        assert told_done(engine) == set(), "what is not committed is not told"
        other.execute("ROLLBACK")
        seen: set[int] = set()

        def all_told() -> bool:
            told = told_done(engine)
            on_disk = {row[0] for row in other.execute("SELECT id FROM document WHERE state = 'done'")}
            assert told <= on_disk
            seen.update(told)
            return len(seen) == 40

        until(all_told)
