"""FAULTS 4, 5, 20: disks that fill up, and disks that go and come back; real ones, mounted for the test."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from faulty import finish, make_pile, mounted, rows_of, start
from model_folders import make_folder

from engine import offline
from engine.engine import Engine
from engine.errors import ExportError
from engine.lanes.plan import Plan

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


@pytest.mark.parametrize("format_", ["csv", "jsonl", "npy", "md", "txt"])
def test_an_export_to_a_full_disk_fails_alone_and_leaves_the_old_one(tmp_path, format_):
    disk = tmp_path / "disk"
    engine = Engine()
    try:
        engine.create_job("job")
        engine.add_texts("job", [(f"{n}.txt", f"text {n}") for n in range(2000)]).result()
        engine.runner.cancel(engine.runner.jobs["job"])
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
            with engine.runner.lock:
                for document in engine.runner.jobs["job"].documents.values():
                    document.text = None
            subprocess.run(["umount", str(place)], check=True)
            assert os.path.isdir(place), "what is left is an empty folder"
            engine.submit("job", "embed")
            engine.open_model(model).result(60)
            counts = engine.runner.jobs["job"].counts
            with engine.runner.lock:
                assert engine.runner.settled.wait_for(lambda: counts["offline"] == 8, 30)
            subprocess.run(["mount", "--bind", str(disk), str(place)], check=True)
            assert engine.wait("job", 30)
            assert engine.journal.counts("job")["done"] == 8
            assert engine.journal.integrity() == "ok"
    finally:
        engine.close()
