"""The program as a process: one instance a folder, an orderly end, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from window_helpers import FAKE

from gui.app import options

ROOT = Path(__file__).resolve().parents[2]

DRIVER = """
import sys
import gui.app as app
app.engine_command = lambda session: (sys.executable, [{fake!r}, "--session", session, "--keep", *{arguments!r}])
sys.exit(app.main({options!r}))
"""
"""The real program with the fake engine in place of the real one."""


@pytest.fixture
def program(tmp_path):
    """Start the program as a process of its own; whatever still runs at the end is killed."""
    running: list[subprocess.Popen] = []

    def start(*given: str, fake: tuple[str, ...] = ()) -> subprocess.Popen:
        code = DRIVER.format(fake=FAKE, arguments=list(fake), options=["--data-dir", str(tmp_path / "data"), *given])
        environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": str(ROOT)}
        running.append(
            subprocess.Popen(
                [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        )
        return running[-1]

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_until(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.02)


def engines(process: subprocess.Popen) -> list[psutil.Process]:
    return [p for p in psutil.Process(process.pid).children() if FAKE in " ".join(p.cmdline())]


def test_the_command_line_makes_paths_absolute():
    found = options(["--data-dir", "d", "--sample", "a", "/b"])
    assert found.data_dir == os.path.abspath("d")
    assert found.paths == (os.path.abspath("a"), "/b")
    assert found.sample


def test_without_a_data_folder_it_is_the_users_own(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert Path(options([]).data_dir).name == "Heddle"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_window_and_engine_in_good_order(program, tmp_path, number):
    process = program()
    journal = tmp_path / "data" / "journal.sqlite"
    wait_until(journal.exists)
    (engine,) = engines(process)
    process.send_signal(number)
    assert process.wait(10) == 0
    assert not engine.is_running()
    assert journal.exists()
    assert b"Traceback" not in process.stderr.read()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_second_start_gives_its_paths_to_the_first_and_exits_0(program, tmp_path):
    first = program()
    journal = tmp_path / "data" / "journal.sqlite"
    wait_until(journal.exists)
    second = program("/given/folder")
    assert second.wait(20) == 0
    wait_until(lambda: b"/given/folder/" in journal.read_bytes())
    assert first.poll() is None
    first.terminate()
    assert first.wait(10) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_killed_window_leaves_no_engine_and_the_next_start_works(program, tmp_path):
    first = program()
    journal = tmp_path / "data" / "journal.sqlite"
    wait_until(journal.exists)
    (engine,) = engines(first)
    first.kill()
    wait_until(lambda: not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE)
    # The lock and the socket of the killed window are still there, and neither stops the next one.
    assert (tmp_path / "data" / "heddle.lock").exists()
    second = program("/given/folder")
    wait_until(lambda: b"/given/folder/" in journal.read_bytes())
    second.terminate()
    assert second.wait(10) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_pile_of_a_killed_window_is_there_after_the_next_start(program, tmp_path):
    first = program("/given/folder")
    journal = tmp_path / "data" / "journal.sqlite"
    wait_until(lambda: journal.exists() and b"/given/folder/" in journal.read_bytes())
    first.kill()
    first.wait(10)
    before = json.loads(journal.read_text("utf-8"))["jobs"]
    second = program()
    wait_until(lambda: engines(second))
    second.terminate()
    assert second.wait(10) == 0
    assert json.loads(journal.read_text("utf-8"))["jobs"] == before


def test_the_window_imports_neither_torch_nor_transformers_nor_charts_before_it_is_shown():
    code = (
        "import sys, gui.app; print([m for m in ('torch', 'transformers', 'numpy', 'pyqtgraph') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_the_log_and_the_crash_file_are_in_the_data_folder(program, tmp_path):
    process = program()
    wait_until((tmp_path / "data" / "journal.sqlite").exists)
    process.terminate()
    process.wait(10)
    assert {"window.log", "engine.log", "crash.log", "window.ini"} <= {p.name for p in (tmp_path / "data").iterdir()}


@pytest.mark.skipif(sys.platform == "win32", reason="rights of POSIX")
def test_nobody_else_can_read_what_is_in_the_data_folder_whatever_the_umask(program, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("window.log", "window.log.1", "engine.log", "crash.log", "window.ini"):
        (folder / name).write_text("")  # as an earlier version left them
        (folder / name).chmod(0o666)
    before = os.umask(0)
    try:
        process = program()
    finally:
        os.umask(before)
    wait_until((folder / "journal.sqlite").exists)
    process.terminate()
    process.wait(10)
    written = {"window.log", "window.log.1", "engine.log", "crash.log", "window.ini"}
    assert {name: oct(stat.S_IMODE((folder / name).stat().st_mode)) for name in written} == dict.fromkeys(
        written, "0o600"
    )
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
