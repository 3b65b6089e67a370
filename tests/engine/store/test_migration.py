"""A journal of an older layout is backed up and brought forward; whatever stops that leaves the old one."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from engine.errors import HeddleError
from engine.store import migration
from engine.store.file import VERSION
from engine.store.journal import Journal
from engine.store.record import Result

LAYOUT_1 = Path(__file__).with_name("layout1.sql").read_text(encoding="utf-8")


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
