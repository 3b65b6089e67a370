"""The journal's file outlives the process, and a file that is not ours is refused and left as it was."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from engine.errors import HeddleError
from engine.store.file import APPLICATION_ID, VERSION
from engine.store.journal import Journal
from engine.store.record import JobRecord, Record, Result

CHILD = """
    import struct, sys
    from engine.store.journal import Journal
    from engine.store.record import JobRecord, Record, Result

    journal = Journal(sys.argv[1])
    number = journal.last_document_id()
    if journal.job("job") is None:
        journal.add_job(JobRecord("job", task="embed"))
    while True:
        number += 1
        record = Record(number, "job", number, f"/pile/{number}.txt", state="running")
        journal.add_documents([record])
        record = Record(number, "job", number, f"/pile/{number}.txt", state="done")
        ticket = journal.finish(record, Result(number, {"n": number}, struct.pack("<f", number), 1))
        journal.add_documents([Record(number + 1_000_000, "job", number, "/pile/x", state="running")])
        journal.remove_documents("job", [number + 999_999])
        if number % 50 == 0:
            journal.flush()
            assert journal.acknowledged >= ticket
            print(number, flush=True)
    """


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "session.heddle")


def filled(path: str, documents: int = 50) -> None:
    with Journal(path) as journal:
        journal.add_job(JobRecord("job"))
        journal.add_documents(Record(n, "job", n, f"/pile/{n}") for n in range(1, documents + 1))
        for n in range(1, documents + 1):
            journal.finish(Record(n, "job", n, f"/pile/{n}", state="done"), Result(n, {"text": "x" * 500}))


def content(folder) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_what_was_acknowledged_survives_sigkill_again_and_again(path):
    acknowledged = 0
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(CHILD), path], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            for _ in range(4):
                acknowledged = int(child.stdout.readline())
            child.kill()
        assert child.returncode == -signal.SIGKILL
        with Journal(path) as journal:
            done = [(record, result) for record, result in journal.results("job") if record.state == "done"]
            assert len(done) >= acknowledged
            assert [record.id for record, _ in done] == list(range(1, len(done) + 1))
            assert all(result is not None and result.value == {"n": record.id} for record, result in done)
            assert journal.integrity() == "ok"
            journal.remove_documents("job", [r.id for r in journal.documents("job") if r.state != "done"])
    assert acknowledged >= 600


def test_documents_that_were_running_wait_again(path):
    with Journal(path) as journal:
        assert journal.recovered == 0
        journal.add_job(JobRecord("job"))
        states = ["waiting", "running", "done", "running", "failed"]
        journal.add_documents(Record(n, "job", n, "/p", state="waiting") for n in range(1, 6))
        for n, state in enumerate(states, 1):
            record = Record(n, "job", n, "/p", state=state, worker=1)
            if state == "done":
                journal.finish(record, Result(n, {}))
            else:
                journal.update_documents([record])
    with Journal(path) as journal:
        assert journal.recovered == 2
        assert [(r.state, r.worker) for r in journal.documents("job")] == [
            ("waiting", 1),
            ("waiting", -1),
            ("done", 1),
            ("waiting", -1),
            ("failed", 1),
        ]


def test_a_file_name_need_not_be_utf8_or_tame(tmp_path):
    path = os.path.join(str(tmp_path), os.fsdecode(b"caf\xe9 #1?mode=x%41.heddle"))
    try:
        open(path, "wb").close()
    except OSError:
        pytest.skip("this file system takes no such name")
    filled(path)
    with Journal(path) as journal:
        assert journal.counts("job")["done"] == 50
    assert os.listdir(os.fsencode(tmp_path)) == [b"caf\xe9 #1?mode=x%41.heddle"]


def test_a_clean_close_leaves_one_file(path, tmp_path):
    filled(path)
    assert [file.name for file in tmp_path.iterdir()] == ["session.heddle"]


def test_the_file_says_what_it_is_and_is_safe_against_power_loss(path):
    with Journal(path) as journal:
        pragma = {
            name: journal._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "application_id", "user_version")
        }
        assert pragma == {
            "journal_mode": "wal",
            "synchronous": 2,
            "foreign_keys": 1,
            "application_id": APPLICATION_ID,
            "user_version": VERSION,
        }
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            journal._reader.execute("DELETE FROM job")


def test_a_creation_that_was_killed_is_begun_again(path):
    with open(f"{path}.new", "wb") as half:
        half.write(b"SQLite format 3\x00 and no more")
    filled(path)
    with Journal(path) as journal:
        assert journal.counts("job")["done"] == 50
    assert not os.path.exists(f"{path}.new")


# -------------------------------------------------------------------------------------------------------------- refused
def refused(path: str, folder, match: str) -> None:
    before = content(folder)
    with pytest.raises(HeddleError, match=match) as caught:
        Journal(path)
    assert os.path.basename(path) in str(caught.value)
    assert content(folder) == before


def test_a_text_file_is_refused_untouched(path, tmp_path):
    (tmp_path / "session.heddle").write_text("my notes " * 100)
    refused(path, tmp_path, "not a journal")


def test_a_short_file_is_refused_untouched(path, tmp_path):
    (tmp_path / "session.heddle").write_bytes(b"SQLite format 3\x00")
    refused(path, tmp_path, "not a journal")


def test_a_database_of_another_program_is_refused_untouched(path, tmp_path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.commit()
    connection.close()
    refused(path, tmp_path, "another program")


def test_a_newer_layout_is_refused_untouched(path, tmp_path):
    filled(path)
    connection = sqlite3.connect(path)
    connection.executescript(f"ALTER TABLE document ADD COLUMN newest TEXT; PRAGMA user_version = {VERSION + 1};")
    connection.close()
    refused(path, tmp_path, f"layout {VERSION + 1}")


def test_a_newer_layout_that_is_still_in_the_log_is_refused(path, tmp_path):
    filled(path)
    connection = sqlite3.connect(path)
    connection.executescript(f"ALTER TABLE document ADD COLUMN newest TEXT; PRAGMA user_version = {VERSION + 1};")
    away = tmp_path / "away"
    away.mkdir()
    for name in ("session.heddle", "session.heddle-wal"):
        shutil.copy(tmp_path / name, away / name)
    connection.close()
    with pytest.raises(HeddleError, match=f"layout {VERSION + 1}"):
        Journal(str(away / "session.heddle"))


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(HeddleError, match="nowhere"):
        Journal(str(tmp_path / "nowhere" / "session.heddle"))


def test_a_folder_in_place_of_the_file_is_refused(tmp_path):
    with pytest.raises(HeddleError, match="cannot be used"):
        Journal(str(tmp_path))
