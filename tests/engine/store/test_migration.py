"""A journal of an older layout is backed up and brought forward; whatever stops that leaves the old one."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import HeddleError
from engine.store import migration
from engine.store.checksum import document_crc, fact_crc, job_crc
from engine.store.file import VERSION
from engine.store.journal import Journal
from engine.store.record import JobRecord, Record, Result

LAYOUT_1 = Path(__file__).with_name("layout1.sql").read_text(encoding="utf-8")
LAYOUT_3 = Path(__file__).with_name("layout3.sql").read_text(encoding="utf-8")


def make_layout_1(path: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(LAYOUT_1)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "INSERT INTO job VALUES ('job', 'mails', 1.5, 'embed', '{\"prompt\":\"p\"}', 0, 'running', 'm')"
        )
        for number, state in enumerate(("done", "running", "failed"), 1):
            row = (number, "job", number, b"/pile/caf\xe9", 3, 4, "ab", "utf-8", 1.0, state, "", 5, 0.0, 1.0, 0.5, 0)
            connection.execute(f"INSERT INTO document VALUES ({', '.join('?' * len(row))})", row)
        connection.execute("INSERT INTO result VALUES (1, '{\"n\":1}', x'0000803f')")
        connection.commit()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "pile.journal")


def tables(connection: sqlite3.Connection) -> dict[str, list[tuple]]:
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    found = {name: connection.execute(f"PRAGMA table_info({name})").fetchall() for name in names}
    indexes = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index' ORDER BY name").fetchall()
    return found | {"indexes": indexes}


def test_a_journal_of_layout_1_is_backed_up_and_comes_forward_whole(path, tmp_path):
    make_layout_1(path)
    with Journal(path) as journal:
        assert f"layout 1 to {VERSION}" in journal.notes[0]
        assert [job.settings for job in journal.jobs()] == [{"prompt": "p"}]
        assert [(r.state, r.deaths) for r in journal.documents("job")] == [("done", 0), ("waiting", 0), ("failed", 0)]
        assert journal.result(1) == Result(1, {"n": 1}, b"\0\0\x80?", 1)
        assert os.fsencode(journal.document(1).path) == b"/pile/caf\xe9"
        assert journal.integrity() == "ok"
    backup = next(tmp_path.glob("pile.journal.layout1-*"))
    with contextlib.closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT COUNT(*) FROM document").fetchone() == (3,)
    with Journal(path) as journal:
        assert journal.notes == ()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_journal_of_layout_3_comes_forward_and_its_checksums_still_tell_what_was_written(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(LAYOUT_3)
        connection.execute("PRAGMA journal_mode = WAL")
        values = ("job", "mails", 1.5, "embed", "{}", 0, "paused", "m", "", "fail", "")
        job = (*values, 2, job_crc(values, 2))
        connection.execute(f"INSERT INTO job VALUES ({', '.join('?' * len(job))})", job)
        for number in (1, 2):
            row = (number, "job", number, b"/pile/a", 3, 4, "ab", "utf-8", 1.0, "failed", "why", 5, 0.0, 1.0, 0.5, 0, 0)
            crc = document_crc((*row, "")) ^ (number == 2)
            connection.execute(f"INSERT INTO document VALUES ({', '.join('?' * 18)})", (*row, crc))
        connection.execute("INSERT INTO fact VALUES ('jobs', '1', ?)", (fact_crc("jobs", "1"),))
        connection.commit()
    with Journal(path) as journal:
        first, second = journal.documents("job")
        assert (first.reason, first.locator) == ("why", "")
        assert second.reason != "why"  # set aside: it is not what was written
        journal.add_documents([replace(first, id=3, position=3, locator="row 7")])
        assert [record.locator for record in journal.documents("job")] == ["", "", "row 7"]


def test_a_locator_whose_bits_flip_is_noticed(path):
    with Journal(path) as journal:
        journal.add_job(JobRecord("job"))
        journal.add_documents([Record(1, "job", 1, "/pile/a", locator="row 7")])
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE document SET locator = 'row 6'")
        connection.commit()
    with Journal(path) as journal:
        (record,) = journal.documents("job")
        assert (record.state, "damaged" in record.reason) == ("failed", True)


def test_a_migrated_journal_and_a_new_one_have_the_same_tables(path, tmp_path):
    make_layout_1(path)
    Journal(path).close()
    fresh = str(tmp_path / "fresh")
    Journal(fresh).close()
    with contextlib.closing(sqlite3.connect(path)) as old, contextlib.closing(sqlite3.connect(fresh)) as new:
        assert tables(old) == tables(new)
        assert old.execute("PRAGMA user_version").fetchone() == new.execute("PRAGMA user_version").fetchone()


def test_a_migration_that_fails_leaves_the_old_layout_and_can_be_tried_again(path, monkeypatch):
    make_layout_1(path)
    real = migration.sql_text
    monkeypatch.setattr(migration, "sql_text", lambda name: real(name) + "; CREATE TABLE job (id)")
    with pytest.raises(HeddleError, match="job already exists"):
        Journal(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert len(connection.execute("PRAGMA table_info(document)").fetchall()) == 16
    monkeypatch.undo()
    with Journal(path) as journal:
        assert journal.counts("job")["done"] == 1


def test_every_layout_has_its_step():
    for layout in range(2, VERSION + 1):
        assert migration.sql_text(f"migrations/{layout}.sql")
