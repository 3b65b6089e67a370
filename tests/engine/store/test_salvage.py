"""FAULTS 6: a damaged journal is set aside as it is, what can be read of it is in the new one, and the count is told."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path

import pytest
from test_migration import make_layout_1

from engine.requests.output import Answer, Generated
from engine.store.file import PAGE
from engine.store.journal import Journal
from engine.store.record import JobRecord, Record, Result

DOCUMENTS = 2_000


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a journal with many done documents."""
    path = str(tmp_path_factory.mktemp("whole") / "pile.journal")
    with Journal(path) as journal:
        journal.add_job(JobRecord("job", "mails", task="embed"))
        journal.add_documents(Record(n, "job", n, f"/pile/{n}") for n in range(1, DOCUMENTS + 1))
        for n in range(1, DOCUMENTS + 1):
            journal.finish(Record(n, "job", n, f"/pile/{n}", state="done"), result(n))
    with open(path, "rb") as file:
        return file.read()


def result(number: int) -> Result:
    return Result(number, {"n": number, "text": f"{number} " * 40}, key=f"k{number}")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "pile.journal")


def reopen(path: str, data: bytes, least: int) -> str:
    """Open a damaged journal and check what every salvage must keep; returns the note."""
    with open(path, "wb") as file:
        file.write(data)
    with Journal(path) as journal:
        assert journal.integrity() == "ok"
        kept = list(journal.results("job"))
        for record, found in kept:
            assert record.path == f"/pile/{record.id}"
            assert (found is not None) == (record.state == "done")
            assert found is None or found == result(record.id), "a salvaged result is the one that was written"
        done = sum(found is not None for _, found in kept)
        assert done >= least
        (note,) = journal.notes
        assert f"{len(kept):,} documents were recovered" in note
        assert f"{done:,} of them with" in note
    aside = next(name for name in os.listdir(os.path.dirname(path)) if ".damaged-" in name)
    assert aside in note
    with open(os.path.join(os.path.dirname(path), aside), "rb") as file:
        assert file.read() == data, "the damaged file is as it was"
    with Journal(path) as journal:
        assert journal.notes == ()
    assert sorted(os.listdir(os.path.dirname(path))) == ["pile.journal", aside]
    return note


def test_garbage_in_the_header(path, whole):
    reopen(path, bytes(random.Random(1).randbytes(100)) + whole[100:], DOCUMENTS)


def test_a_first_page_of_garbage(path, whole):
    reopen(path, bytes(random.Random(2).randbytes(PAGE)) + whole[PAGE:], DOCUMENTS)


@pytest.mark.parametrize("seed", range(6))
def test_a_page_of_garbage_costs_what_was_on_it(path, whole, seed):
    chosen = random.Random(seed)
    at = PAGE * chosen.randrange(10, len(whole) // PAGE)
    reopen(path, whole[:at] + chosen.randbytes(PAGE) + whole[at + PAGE :], 1)


@pytest.mark.parametrize("seed", range(6))
def test_flipped_bytes_never_pass_for_a_result(path, whole, seed):
    chosen = random.Random(seed)
    data = bytearray(whole)
    for _ in range(40):
        data[chosen.randrange(2 * PAGE, len(data))] ^= 1 << chosen.randrange(8)
    with open(path, "wb") as file:
        file.write(data)
    with Journal(path) as journal:
        wrong = {line.split()[4] for line in journal.integrity().splitlines() if "not what was written" in line}
        for record, found in journal.results("job"):
            assert found is None or found == result(record.id) or str(record.id) in wrong
        assert journal.notes or journal.counts("job")["done"] == DOCUMENTS


def test_outputs_of_steps_outlive_a_damaged_page(path):
    kept = Generated("summary", (Answer("what came of the first half", "end", 5, 7, 2.5, 0.5),))
    with Journal(path) as journal:
        journal.add_job(JobRecord("job", "mails", task="embed"))
        journal.add_documents(Record(n, "job", n, f"/pile/{n}") for n in range(1, 3))
        journal.keep_output(1, 1, kept, "asked")
    with open(path, "rb+") as file:
        file.write(random.Random(1).randbytes(100))
    with Journal(path) as journal:
        assert "set aside" in journal.notes[0]
        assert journal.outputs("job") == {1: {(1, "summary"): ("asked", kept)}}


def test_a_file_that_was_cut_off(path, whole):
    reopen(path, whole[: len(whole) // PAGE // 2 * PAGE], 100)


def test_a_log_that_was_lost_is_told_and_the_rest_is_there(path, tmp_path):
    journal = Journal(path)
    journal.add_job(JobRecord("job"))
    journal.add_documents([Record(1, "job", 1, "/pile/1")])
    journal.flush()
    journal._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    journal.finish(Record(1, "job", 1, "/pile/1", state="done"), Result(1, {}))
    journal.flush()
    away = tmp_path / "away"
    away.mkdir()
    for end in ("", ".lock"):  # all but the log, as of a process that was killed
        shutil.copy(path + end, away / f"pile.journal{end}")
    journal.close()
    with Journal(str(away / "pile.journal")) as found:
        assert found.counts("job")["waiting"] == 1
        assert found.integrity() == "ok"
        assert "log of the journal" in found.notes[0]


def test_a_log_without_its_file_is_set_aside_and_never_replayed(path, tmp_path):
    Journal(path).close()
    os.replace(path, f"{path}-wal")
    with Journal(path) as journal:
        assert "only its log was there" in journal.notes[0]
        assert journal.jobs() == []
    assert len(list(tmp_path.glob("pile.journal.lost-*-wal"))) == 1


def test_a_damaged_journal_of_an_older_layout_comes_forward_at_once(path):
    make_layout_1(path)
    with open(path, "rb+") as file:
        file.write(random.Random(3).randbytes(100))
    with Journal(path) as journal:
        assert [r.state for r in journal.documents("job")] == ["done", "waiting", "failed"]
        assert journal.result(1) == Result(1, {"n": 1}, b"\0\0\x80?", 1)
        assert "set aside" in journal.notes[0]


KILLED = """
    import os, sys
    from engine.store.journal import Journal

    left = int(sys.argv[2])

    def killed(real):
        def call(*args, **options):
            global left
            left -= 1
            if left < 0:
                os._exit(9)
            return real(*args, **options)
        return call

    for name in ("replace", "link"):
        setattr(os, name, killed(getattr(os, name)))
    Journal(sys.argv[1])
    os._exit(0)
    """


def test_a_salvage_that_is_killed_anywhere_loses_nothing(path, tmp_path):
    """Between any two changes of names the journal is the damaged one or the recovered one, with its log."""
    journal = Journal(path)  # whose newest rows are in its log
    journal.add_job(JobRecord("job", "mails", task="embed"))
    journal.add_documents(Record(n, "job", n, f"/pile/{n}") for n in range(1, 51))
    journal.flush()
    data, log = Path(path).read_bytes(), Path(f"{path}-wal").read_bytes()
    journal.close()
    at = 0
    while True:
        folder = tmp_path / f"kill{at}"
        folder.mkdir()
        copy = str(folder / "pile.journal")
        with open(copy, "wb") as file:
            file.write(random.Random(5).randbytes(100) + data[100:])
        with open(f"{copy}-wal", "wb") as file:
            file.write(log)
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), copy, str(at)], check=False, timeout=60)
        with Journal(copy) as journal:
            assert journal.counts("job")["waiting"] == 50, f"killed at change {at}"
            assert journal.integrity() == "ok"
            assert journal.notes or done.returncode == 0
        aside = [name for name in os.listdir(folder) if ".damaged-" in name]
        assert any(name.endswith("-wal") for name in aside)
        left = set(os.listdir(folder)) - set(aside)
        assert left <= {"pile.journal", "pile.journal.lock"}, "nothing half lies about"
        if done.returncode == 0:
            break
        at += 1
    assert at >= 5


def test_a_salvage_by_an_earlier_version_that_was_killed_is_finished(path, whole):
    with open(f"{path}.salvaged", "wb") as file:
        file.write(whole)
    with Journal(path) as journal:
        assert journal.counts("job")["done"] == DOCUMENTS
        assert "recovered" in journal.notes[0]


def test_a_salvage_holds_little_of_a_large_journal_in_memory(path):
    with Journal(path) as journal:
        journal.add_job(JobRecord("job"))
        for first in range(1, 6001, 1000):
            journal.add_documents(Record(n, "job", n, f"/pile/{n}") for n in range(first, first + 1000))
            for n in range(first, first + 1000):
                journal.finish(Record(n, "job", n, f"/pile/{n}", state="done"), Result(n, {"text": "x" * 4000}))
            journal.flush()
    size = os.path.getsize(path)
    with open(path, "rb+") as file:
        file.write(random.Random(6).randbytes(100))
    tracemalloc.start()
    with contextlib.closing(Journal(path)) as journal:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert journal.counts("job")["done"] == 6000
    assert peak < size / 4
