"""FAULTS 38: what is not what was written is never given out as genuine; it is set aside, counted and told."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import struct

import pytest

from engine.engine import Engine
from engine.store.export import export
from engine.store.file import VERSION, sql_text
from engine.store.journal import Journal
from engine.store.record import JobRecord, Record, Result

DOCUMENTS = 12


@pytest.fixture
def path(tmp_path):
    path = str(tmp_path / "pile.journal")
    with Journal(path) as journal:
        journal.add_job(JobRecord("job", "mails", 2.5, "embed", {}, 0, "paused"))
        journal.add_job(JobRecord("other", "letters", 3.5, "embed", {}, 0, "finished"))
        for job, first in (("job", 1), ("other", 101)):
            records = [Record(n, job, n, f"/pile/{n}.txt", 10, 20) for n in range(first, first + DOCUMENTS)]
            journal.add_documents(records)
            for n in range(first, first + DOCUMENTS - 2):
                done = Record(n, job, n, f"/pile/{n}.txt", 10, 20, state="done", tokens=5)
                journal.finish(done, Result(n, {"n": n}, struct.pack("<f", n), 1, f"k{n}"))
    return path


def alter(path: str, statement: str) -> None:
    """Change rows as nothing of ours does: their checksums stay as they are."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        changed = connection.execute(statement).rowcount
        assert changed == 1
        connection.commit()


def rows(path: str, job: str, tmp_path) -> tuple[list[dict], tuple[str, ...]]:
    """Export a job, and return its rows and what the journal told."""
    with Journal(path) as journal:
        export(journal, job, str(tmp_path / "rows.jsonl"), "jsonl")
        notes = journal.notes
    return [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()], notes


@pytest.mark.parametrize(
    "change",
    [
        "path = x'2f70696c652f322e747874'",
        "size = size + 1",
        "mtime_ns = 0",
        "sha256 = 'ab'",
        "encoding = 'utf-9'",
        "confidence = 0.5",
        "state = 'dooe'",
        "reason = 'x'",
        "tokens = 4",
        "unknown_share = 0.5",
        "coverage = 0.5",
        "seconds = 9.5",
        "lane = 7",
        "deaths = 1",
        "crc = crc + 1",
    ],
)
def test_a_document_that_was_altered_fails_in_every_export_and_is_told_once(path, tmp_path, change):
    alter(path, f"UPDATE document SET {change} WHERE id = 103")
    found, notes = rows(path, "other", tmp_path)
    assert len(found) == DOCUMENTS
    (odd,) = [row for row in found if "(damaged row 103)" in row["path"]]
    assert (odd["state"], odd["result"], odd["tokens"]) == ("failed", None, None)
    assert "its row in the journal was damaged" in odd["error"]
    assert {row["state"] for row in found if row is not odd} == {"done", "waiting"}
    assert sum("damaged" in note and "pile.journal" in note for note in notes) == 1
    again, notes = rows(path, "other", tmp_path)
    assert again == found
    assert notes == ()
    with Journal(path) as journal:
        assert journal.integrity() == "ok"
        assert journal.counts("other")["failed"] == 1


@pytest.mark.parametrize(
    "change",
    ["json = '{\"n\":4}'", "json = '{\"n\":'", "vector = x'0000803f'", "vector = NULL", "key = 'k99'", "crc = NULL"],
)
def test_a_result_that_was_altered_is_never_exported_and_runs_again(path, tmp_path, change):
    alter(path, f"UPDATE result SET {change} WHERE document = 103")
    found, notes = rows(path, "other", tmp_path)
    (odd,) = [row for row in found if row["path"] == "/pile/103.txt"]
    assert (odd["state"], odd["result"]) == ("waiting", None)
    assert "result in the journal was damaged" in odd["error"]
    assert sum(row["state"] == "done" for row in found) == DOCUMENTS - 3
    assert len(notes) == 1
    with Journal(path) as journal:
        assert journal.integrity() == "ok"
        assert journal.result(103) is None
        assert journal.answers(["k103", "k99"]) == {}


def test_text_that_is_not_even_utf8_any_more_is_one_damaged_row(path, tmp_path):
    alter(path, "UPDATE document SET reason = CAST(x'ff' AS TEXT) WHERE id = 104")
    found, notes = rows(path, "other", tmp_path)
    assert [row["state"] for row in found].count("failed") == 1
    assert len(notes) == 1


def test_a_row_that_is_gone_is_missed(path, tmp_path):
    alter(path, "DELETE FROM document WHERE id = 103")
    found, notes = rows(path, "other", tmp_path)
    assert len(found) == DOCUMENTS - 1
    assert "1 of the 12 documents of the pile 'letters' are missing" in notes[0]
    assert rows(path, "other", tmp_path)[1] == ()


def test_a_result_that_is_gone_is_missed(path, tmp_path):
    alter(path, "DELETE FROM result WHERE document = 103")
    found, notes = rows(path, "other", tmp_path)
    assert [row["state"] for row in found].count("waiting") == 3
    assert len(notes) == 1


def test_a_job_that_is_gone_is_missed(path, tmp_path):
    with Journal(path) as journal:
        journal.add_job(JobRecord("empty"))
    alter(path, "DELETE FROM job WHERE id = 'empty'")
    with Journal(path) as journal:
        assert "it has 2 jobs, and 3 were counted" in journal.notes[0]


@pytest.mark.parametrize("statement", [
    "UPDATE document SET state = 'dooe' WHERE id = 3",
    "UPDATE job SET settings = '{\"promqt\": 1' WHERE id = 'job'",
    "UPDATE job SET status = 'paused ' WHERE id = 'job'",
    "UPDATE job SET task = 'emced' WHERE id = 'job'",
    "UPDATE job SET created = 7.5 WHERE id = 'job'",
    "UPDATE result SET json = '{}' WHERE document = 3",
    "UPDATE result SET json = '[' WHERE document = 3",
    "UPDATE fact SET value = 'x' WHERE name = 'jobs'",
])  # fmt: skip
def test_the_engine_starts_whatever_was_altered_and_says_so(path, tmp_path, statement):
    alter(path, statement)
    engine = Engine(path, shelve=True)
    try:
        jobs = {job.id: job for job in engine.list_jobs().result(30)}
        assert jobs.keys() == {"job", "other"}
        assert [sum(job.counts.values()) for job in jobs.values()] == [DOCUMENTS, DOCUMENTS]
        engine.show_job("job").result(30)
        assert engine.export("job", str(tmp_path / "rows.csv"), "csv").result(30) == DOCUMENTS
        notices = [notice.text for notice in engine.snapshot().notices]
        assert any("damaged" in text for text in notices), notices
        if "UPDATE job" in statement:
            assert (jobs["job"].name, jobs["job"].task, jobs["job"].status) == ("recovered", "", "paused")
    finally:
        assert engine.close()


def test_what_is_damaged_while_the_program_runs_changes_in_the_window_too(path):
    engine = Engine(path)
    try:
        engine.snapshot()
        alter(path, "UPDATE result SET json = '{}' WHERE document = 103")
        assert engine.journal.result(103) is None
        engine.journal.flush()
        (told,) = engine.snapshot().rows
        assert [(row.id, row.state) for row in told.rows] == [(103, "waiting")]
        assert engine.piles.counts("other")["waiting"] == 3
    finally:
        assert engine.close()


def test_a_journal_of_layout_2_gets_its_checksums_and_old_ones_still_count(path, tmp_path):
    old = str(tmp_path / "old.journal")
    with contextlib.closing(sqlite3.connect(old)) as connection, contextlib.closing(sqlite3.connect(path)) as new:
        connection.executescript(sql_text("migrations/layout2.sql"))
        connection.execute("PRAGMA journal_mode = WAL")
        for table in ("job", "document", "result"):
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            marks = ", ".join("?" * len(names))
            data = new.execute(f"SELECT {', '.join(names)} FROM {table}").fetchall()
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", data)
        connection.execute("UPDATE result SET crc = NULL WHERE document = 1")  # as layout 1 had them
        connection.execute("UPDATE result SET json = '{}' WHERE document = 102")
        connection.commit()
    with Journal(old) as journal:
        assert f"layout 2 to {VERSION}" in journal.notes[0]
        assert journal.result(1) == Result(1, {"n": 1}, struct.pack("<f", 1), 1, "k1")
        assert sum(result is not None for _, result in journal.results("other")) == DOCUMENTS - 3
        assert len(journal.notes) == 2
        assert journal.integrity() == "ok"
    alter(old, "UPDATE document SET tokens = 1 WHERE id = 5")
    assert [row["state"] for row in rows(old, "job", tmp_path)[0]].count("failed") == 1


def test_a_flipped_bit_in_the_log_is_told_and_the_log_kept(path, tmp_path):
    away = tmp_path / "away"
    away.mkdir()
    copy = str(away / "pile.journal")
    with Journal(path) as journal:
        journal.add_documents([Record(300, "job", 300, "/pile/300")])
        journal.flush()
        journal.finish(Record(300, "job", 300, "/pile/300", state="done"), Result(300, {"n": 300}))
        journal.flush()
        for end in ("", "-wal"):  # without the lock: nothing says that the process died
            shutil.copy(path + end, copy + end)
    log = bytearray((away / "pile.journal-wal").read_bytes())
    log[-2000] ^= 4
    (away / "pile.journal-wal").write_bytes(log)
    with Journal(copy) as journal:
        assert "the newest 1 of its writes are lost" in journal.notes[0]
        assert journal.document(300).state == "waiting"
    kept = next(away.glob("pile.journal.damaged-*-wal"))
    assert kept.read_bytes() == log
    assert os.path.basename(kept) in journal.notes[0]
