"""FAULTS 3: the power goes at any byte of a commit; what was acknowledged is there, and nothing is torn."""

from __future__ import annotations

import random

import pytest

from engine.store.journal import Journal
from engine.store.record import JobRecord, Record, Result

BATCHES = 40


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """The bytes of a journal and its log, and after each acknowledged batch the length of the log."""
    path = tmp_path_factory.mktemp("power") / "journal"
    with Journal(str(path)) as journal:
        journal.add_job(JobRecord("job"))
        journal.add_documents(Record(n, "job", n, f"/pile/{n}") for n in range(1, BATCHES * 5 + 1))
        journal.flush()
        lengths = []
        for batch in range(BATCHES):
            for n in range(batch * 5 + 1, batch * 5 + 6):
                journal.finish(Record(n, "job", n, f"/pile/{n}", state="done"), Result(n, {"n": n, "text": "x" * 300}))
            journal.flush()
            lengths.append((path.parent / "journal-wal").stat().st_size)
        database, log = path.read_bytes(), (path.parent / "journal-wal").read_bytes()
    return database, log, lengths


@pytest.mark.parametrize("seed", range(25))
def test_every_acknowledged_result_survives_a_log_that_ends_anywhere(history, tmp_path, seed):
    database, log, lengths = history
    chosen = random.Random(seed)
    cut = chosen.randrange(lengths[0], len(log))
    acknowledged = 5 * sum(length <= cut for length in lengths)
    path = tmp_path / "journal"
    path.write_bytes(database)
    # What lies behind the last sync is unknown: cut off, or of whatever was on the disk.
    tail = chosen.choice([b"", bytes(4096 - cut % 4096), chosen.randbytes(2 * 4096)])
    (tmp_path / "journal-wal").write_bytes(log[:cut] + tail)
    with Journal(str(path)) as journal:
        rows = list(journal.results("job"))
        done = [record.id for record, _ in rows if record.state == "done"]
        assert done == list(range(1, len(done) + 1))
        assert len(done) >= acknowledged
        assert len(done) % 5 == 0, "a batch is there whole or not at all"
        assert all((result is not None) == (record.state == "done") for record, result in rows)
        assert journal.integrity() == "ok"
        assert len(rows) == BATCHES * 5
