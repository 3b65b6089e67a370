"""FAULTS 2, 29: told to end in the middle of a job, and documents that take the engine with them."""

from __future__ import annotations

import os
import signal
import sys

import pytest
from faulty import finish, make_pile, rows_of, start
from stub_engine import POISON

from engine.store.journal import Journal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_told_to_end_goes_on_the_next_time(tmp_path, number):
    pile, out = make_pile(tmp_path / "pile", 1200, 60), tmp_path / "rows.jsonl"
    runs = tmp_path / "runs"
    os.environ["HEDDLE_STUB_RUNS"] = str(runs)
    try:
        process = start(pile, out)
        # The first of many batches may still be on its way to the rows when the signal comes, and is dropped then.
        while process.poll() is None and not (runs.exists() and runs.read_bytes().count(b"\n") >= 100):
            os.sched_yield()
        process.send_signal(number)
        code, errors = finish(process, 15)
        assert code == 130, errors
        assert "The same command goes on" in errors
        before = {name for name, row in rows_of(out).items() if row["state"] == "done"}
        assert 0 < len(before) < 1200
        runs.unlink()
        assert finish(start(pile, out))[0] == 0
        again = {os.path.basename(path) for path in runs.read_text().splitlines()}
        assert not again & before
        assert {row["state"] for row in rows_of(out).values()} == {"done"}
    finally:
        del os.environ["HEDDLE_STUB_RUNS"]


def test_a_document_that_kills_the_engine_twice_is_quarantined_and_all_others_are_done(tmp_path):
    pile, out = make_pile(tmp_path / "pile", 100), tmp_path / "rows.jsonl"
    (pile / "0050.txt").write_text(f"harmless to look at {POISON}")
    codes = [finish(start(pile, out))[0] for _ in range(2)]
    assert codes == [-signal.SIGKILL, -signal.SIGKILL]
    code, errors = finish(start(pile, out))
    assert code == 1
    assert "1 documents are quarantined" in errors
    rows = rows_of(out)
    assert rows.pop("0050.txt")["state"] == "quarantined"
    assert {row["state"] for row in rows.values()} == {"done"}
    assert len(rows) == 99
    assert finish(start(pile, out))[0] == 1, "it is not tried again unless somebody asks"
    (pile / "0050.txt").write_text("mended")
    assert finish(start(pile, out, "--retry-quarantined"))[0] == 0
    assert rows_of(out)["0050.txt"]["state"] == "done"
    with Journal(f"{out}.journal") as journal:
        assert journal.integrity() == "ok"
