"""FAULTS 4, 5, 20: disks that fill up, and disks that go and come back; real ones, mounted for the test."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from engine_helpers import forget_texts, wait_until
from faulty import fill_up, finish, make_pile, mounted, rows_of, start
from model_folders import make_folder

from engine.api.plan import Plan
from engine.engine import Engine
from engine.errors import ExportError
from engine.jobs import offline_sources as offline
from engine.jobs.job import LIVE
from engine.store.export import export
from engine.store.journal import Journal
from engine.store.record import JobRecord, Record, Result

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")


def test_a_full_disk_holds_the_job_up_and_it_goes_on_by_itself(tmp_path):
    pile = make_pile(tmp_path / "pile", 1500)
    disk = tmp_path / "disk"
    with mounted(disk, "-t", "tmpfs", "-o", "size=16m", "tmpfs"):
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * (15_700 << 10))
        process = start(pile, disk / "rows.jsonl")
        line = next(line for line in process.stderr if "cannot be written" in line)
        assert "disk is full" in line
        assert "rows.jsonl.journal" in line
        assert " free)" in line
        ballast.unlink()
        code, errors = finish(process)
        assert code == 0, errors
        assert "can be written again" in errors
        assert len(rows_of(disk / "rows.jsonl")) == 1500
        assert {row["state"] for row in rows_of(disk / "rows.jsonl").values()} == {"done"}


@pytest.mark.parametrize("format_", ["csv", "jsonl", "md", "txt"])
def test_an_export_to_a_read_only_disk_fails_alone_and_leaves_the_old_one(tmp_path, format_):
    disk = tmp_path / "disk"
    journal = Journal()
    journal.add_job(JobRecord("job"))
    journal.add_documents(Record(n, "job", n, f"/pile/{n}.txt") for n in range(1, 11))
    with mounted(disk, "-t", "tmpfs", "tmpfs"):
        (disk / "old").write_text("the old one")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(ExportError, match=r"(?i)read-only"):
            export(journal, "job", str(disk / ("new" if format_ == "txt" else "old")), format_)
        assert os.listdir(disk) == ["old"]
        assert (disk / "old").read_text() == "the old one"
    assert export(journal, "job", str(tmp_path / "rows"), format_) >= 0
    journal.close()


def look_at(engine: Engine, tmp_path) -> None:
    """List, open and export what a journal holds that nothing can be written into."""
    (job,) = engine.list_jobs().result(30)
    assert (job.counts["done"], job.counts["waiting"]) == (50, 100)
    assert engine.show_job("job").result(30).counts == job.counts
    snapshot = engine.snapshot()
    assert len(snapshot.rows[0].rows) == 150
    for format_ in ("csv", "jsonl", "md"):
        assert engine.export("job", str(tmp_path / f"rows.{format_}"), format_).result(30) == 150
    assert len(rows_of(tmp_path / "rows.jsonl")) == 150


def half_done(path: str, *, killed: bool) -> None:
    """Make a journal of 150 documents; killed, with a log, and one of the documents in work."""
    journal = Journal(path)
    journal.add_job(JobRecord("job", "mails", task="embed", status="running"))
    records = [Record(n, "job", n, f"/pile/{n}.txt") for n in range(1, 151)]
    journal.add_documents(records)
    for record in records[:50]:
        journal.finish(replace(record, state="done"), Result(record.id, {"dimension": 1}, b"\0\0\x80?", 1))
    journal.update_documents([replace(records[60], state="running", worker=0)])
    journal.flush()
    if not killed:
        journal.close()
        return
    files = {end: Path(path + end).read_bytes() for end in ("", "-wal", ".lock")}
    journal.close()
    for end, data in files.items():
        Path(path + end).write_bytes(data)


@pytest.mark.parametrize("killed", [False, True], ids=["closed", "killed"])
def test_a_disk_that_is_full_at_the_start_is_read_and_the_job_goes_on_when_there_is_room(tmp_path, killed):
    disk = tmp_path / "disk"
    with mounted(disk, "-t", "tmpfs", "-o", "size=2m", "tmpfs"):
        half_done(str(disk / "journal"), killed=killed)
        before = {name: (disk / name).read_bytes() for name in os.listdir(disk)}
        ballast = disk / "ballast"
        fill_up(ballast)
        engine = Engine(str(disk / "journal"))
        try:
            look_at(engine, tmp_path)
            snapshot = engine.snapshot()
            assert snapshot.jobs[0].status in LIVE
            assert "its disk is full" in snapshot.jobs[0].message
            assert " free)" in snapshot.jobs[0].message
            assert "jobs can be looked at and exported" in "".join(engine.journal.notes)
            assert {name: (disk / name).read_bytes() for name in before if ".lock" not in name} == {
                name: data for name, data in before.items() if ".lock" not in name
            }
            ballast.unlink()
            with engine.journal._writer._progress:
                assert engine.journal._writer._progress.wait_for(lambda: not engine.journal.problem, 30)
            assert engine.journal.recovered == 1
            engine.rename_job("job", "letters").result(30)
            assert engine.journal.flush(30)
            assert engine.list_jobs().result(30)[0].name == "letters"
        finally:
            assert engine.close()
        with Journal(str(disk / "journal")) as journal:
            assert journal.integrity() == "ok"
            assert journal.counts("job")["waiting"] == 100


def test_a_journal_on_a_read_only_disk_is_read(tmp_path):
    disk = tmp_path / "disk"
    with mounted(disk, "-t", "tmpfs", "-o", "size=2m", "tmpfs"):
        half_done(str(disk / "journal"), killed=False)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        engine = Engine(str(disk / "journal"))
        try:
            look_at(engine, tmp_path)
            assert "cannot be written" in engine.snapshot().jobs[0].message
        finally:
            engine.close()
        assert os.listdir(disk) == ["journal"]


@pytest.mark.parametrize("format_", ["csv", "jsonl", "npy", "md", "txt"])
def test_an_export_to_a_full_disk_fails_alone_and_leaves_the_old_one(tmp_path, format_):
    disk = tmp_path / "disk"
    engine = Engine()
    try:
        engine.create_job("job")
        engine.add_texts("job", [(f"{n}.txt", f"text {n}") for n in range(2000)]).result()
        engine.cancel("job").result(30)
        with mounted(disk, "-t", "tmpfs", "-o", "size=64k", "tmpfs"):
            old = disk / "old.csv"
            old.write_text("the old one")
            if format_ in {"csv", "jsonl", "md"}:
                with pytest.raises(ExportError, match="disk is full"):
                    engine.export("job", str(old), format_).result()
            else:
                with pytest.raises(Exception, match=r"disk is full|no vectors"):
                    engine.export("job", str(disk / "new"), format_).result()
            assert [name for name in os.listdir(disk) if name != "old.csv"] == []
            assert old.read_text() == "the old one"
        assert engine.export("job", str(tmp_path / "rows.csv"), "csv").result() == 2000
    finally:
        engine.close()


def test_documents_of_a_disk_that_was_unmounted_wait_until_it_is_back(tmp_path, monkeypatch):
    monkeypatch.setattr(offline, "PERIOD", 0.05)
    model = make_folder(tmp_path / "model", "bert")
    disk, place = tmp_path / "device", tmp_path / "disk"
    engine = Engine(str(tmp_path / "session"))
    try:
        engine.set_plan(Plan("cpu", 1, 1, "float32")).result(30)
        engine.create_job("job")
        with mounted(disk, "-t", "tmpfs", "tmpfs"), mounted(place, "--bind", str(disk)):
            for number in range(8):
                (place / f"{number}.txt").write_text(f"text {number} on the disk")
            engine.add_paths("job", [str(place)]).result(30)
            forget_texts(engine, "job")
            subprocess.run(["umount", str(place)], check=True)
            assert os.path.isdir(place), "what is left is an empty folder"
            engine.submit("job", "embed")
            engine.open_model(model).result(60)
            wait_until(engine, "job", lambda job: job.pile.counts["offline"] == 8)
            subprocess.run(["mount", "--bind", str(disk), str(place)], check=True)
            assert engine.wait("job", 30)
            assert engine.journal.counts("job")["done"] == 8
            assert engine.journal.integrity() == "ok"
    finally:
        engine.close()
