"""What a killed export leaves behind goes with the next one; what another process is writing stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.store.leftovers import beside, hold, sweep
from engine.store.replacement import replacing

ROOT = Path(__file__).resolve().parents[3]
WRITES = """
import sys
from engine.store.replacement import replacing
with replacing(sys.argv[1]) as (file,):
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.readline()
"""


def writing(target: Path) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITES, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout.readline() == "writing\n"
    return process


def left(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith(".heddle-")]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX locks")
def test_what_a_killed_export_left_is_removed_by_the_next_one(tmp_path):
    with writing(tmp_path / "a.csv") as process:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    folder = Path(beside(str(tmp_path / "texts")))
    folder.mkdir()
    (folder / "half.txt").write_text("half")
    assert len(left(tmp_path)) == 2
    with replacing(str(tmp_path / "b.csv")) as (file,):
        file.write(b"whole")
    assert left(tmp_path) == []
    assert (tmp_path / "b.csv").read_bytes() == b"whole"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX locks")
def test_what_another_process_is_writing_stays(tmp_path):
    with writing(tmp_path / "a.csv") as process:
        assert sweep(str(tmp_path)) == 0
        process.communicate("go on\n", timeout=10)
    assert (tmp_path / "a.csv").read_bytes() == b"half"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX locks")
def test_a_folder_that_is_being_filled_and_what_only_has_such_a_name_stay(tmp_path):
    folder = Path(beside(str(tmp_path / "texts")))
    folder.mkdir()
    (tmp_path / ".heddle-notes.tmp").write_text("mine")
    (tmp_path / ".heddle-0123456789abcdef.tmp").symlink_to(tmp_path / ".heddle-notes.tmp")
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        assert hold(descriptor)
        assert sweep(str(tmp_path)) == 0
    finally:
        os.close(descriptor)
    assert sweep(str(tmp_path)) == 1
    assert not folder.exists()
    assert len(left(tmp_path)) == 2
