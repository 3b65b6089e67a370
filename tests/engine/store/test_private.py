"""FAULTS 44: nobody else reads the journal or what lies beside it, and what is deleted leaves all of its files."""

from __future__ import annotations

import os
import random
import stat
import sys
from pathlib import Path

import pytest
from test_migration import make_layout_1

from engine.engine import Engine
from engine.store import writer
from engine.store.journal import Journal
from engine.store.record import JobRecord, Record, Result

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="rights of POSIX; on Windows a user's folders are private"
)

SECRET = "the-secret-word"
"""Stands in what is deleted, and is looked for in the bytes of all files."""


@pytest.fixture(autouse=True)
def _open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return str(folder / "pile.journal")


def rights(path: str) -> dict[str, int]:
    folder = Path(path).parent
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


def test_every_file_of_a_journal_is_its_owners_whatever_the_umask(path):
    with Journal(path) as journal:
        journal.add_job(JobRecord("job"))
        journal.flush()
        found = rights(path)
    assert {name.removeprefix("pile.journal") for name in found} == {"", "-wal", "-shm", ".lock"}
    assert set(found.values()) == {0o600}


def test_files_that_are_there_already_are_tightened_and_others_left_alone(path):
    Journal(path).close()
    other = Path(path).with_name("letter.txt")
    for name in (path, f"{path}.layout1-20260101-000000", f"{path}.damaged-20260101-000000-wal", str(other)):
        Path(name).touch()
        os.chmod(name, 0o666)
    Journal(path).close()
    found = rights(path)
    assert found.pop("letter.txt") == 0o666
    assert set(found.values()) == {0o600}


def test_backups_and_what_is_set_aside_are_private(path):
    make_layout_1(path)
    Journal(path).close()
    with open(path, "rb+") as file:
        file.write(random.Random(1).randbytes(100))
    Journal(path).close()
    found = rights(path)
    assert any(".layout1-" in name for name in found)
    assert any(".damaged-" in name for name in found)
    assert set(found.values()) == {0o600}


def fill(journal: Journal, job: str, first: int, count: int = 300) -> None:
    journal.add_job(JobRecord(job, f"{SECRET} name", settings={"prompt": SECRET}))
    records = [Record(n, job, n, f"/pile/{SECRET}/{n}", reason=SECRET) for n in range(first, first + count)]
    journal.add_documents(records)
    for record in records:
        done = Record(record.id, job, record.position, record.path, state="done", reason=SECRET)
        journal.finish(done, Result(record.id, {"text": f"{SECRET} " * 300}))


def files_with_the_secret(path: str) -> list[str]:
    return [file.name for file in Path(path).parent.iterdir() if SECRET.encode() in file.read_bytes()]


def test_a_deleted_job_leaves_all_files_while_the_journal_is_open(path, monkeypatch):
    monkeypatch.setattr(writer, "IDLE_SECONDS", 0.01)
    with Journal(path) as journal:
        fill(journal, "job", 1)
        journal.add_job(JobRecord("kept", "kept"))
        journal.flush()
        size = os.path.getsize(path) + os.path.getsize(f"{path}-wal")
        assert files_with_the_secret(path)
        journal.remove_job("job")
        journal.flush()
        with journal._writer._progress:
            assert journal._writer._progress.wait_for(lambda: not journal._writer._compaction.due, 60)
        assert files_with_the_secret(path) == []
        assert os.path.getsize(path) + os.path.getsize(f"{path}-wal") < size / 4
        assert [job.name for job in journal.jobs()] == ["kept"]
        assert journal.integrity() == "ok"


def test_documents_that_are_taken_off_the_pile_leave_the_files_when_it_is_closed(path):
    with Journal(path) as journal:
        fill(journal, "job", 1)
        journal.update_job("job", name="", settings={})
        journal.remove_documents("job", range(1, 301))
    assert files_with_the_secret(path) == []
    assert os.path.getsize(path) < 100_000


def test_a_job_deleted_in_the_window_is_gone_from_the_disk_after_the_next_start(path):
    with Journal(path) as journal:
        fill(journal, "job", 1)
    engine = Engine(path, shelve=True)
    engine.delete_job("job").result(30)
    assert engine.close()
    engine = Engine(path, shelve=True)
    assert engine.close()
    assert files_with_the_secret(path) == []


def test_a_journal_of_an_older_layout_gives_room_back_as_well(path):
    make_layout_1(path)
    with Journal(path) as journal:
        fill(journal, "new", 100)
        journal.remove_job("new")
    for backup in Path(path).parent.glob("*.layout1-*"):
        backup.unlink()
    assert files_with_the_secret(path) == []
    assert os.path.getsize(path) < 100_000
