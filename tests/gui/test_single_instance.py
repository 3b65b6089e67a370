"""One window a data folder, and what other users of the machine can do to it: nothing."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from PySide6.QtNetwork import QLocalServer

from gui.peer import is_private, make_private, uid_of
from gui.single_instance import ADDRESS, SingleInstance

ROOT = Path(__file__).resolve().parents[2]

posix = pytest.mark.skipif(sys.platform == "win32", reason="the pipes of Windows have no files")


@pytest.fixture(scope="module", params=["data", "a name that no socket can have because it is long " * 2])
def report(request):
    """What a stranger could do, in a data folder with a short path and in one with a long path."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("NOT RUN: two users on one machine need root on Linux")
    script = str(Path(__file__).with_name("two_users.py"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, script, request.param],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_squatter_under_a_name_that_can_be_guessed_neither_blocks_the_start_nor_hears_a_name(report):
    assert report["started"]
    assert report["handed over"]
    assert report["taken"] == ["/secret/name"]
    assert report["overheard"] is None


def test_another_user_can_neither_look_into_the_data_folder_nor_call_the_window(report):
    assert report["closed"] == dict.fromkeys(("list", "read", "write", "call"), "refused")


def test_a_window_does_not_listen_to_another_user_even_where_the_folder_was_opened(report):
    assert report["opened by mistake"]["call"] == "cut off"
    assert report["handed over later"]
    assert report["taken later"] == ["/later"]


def test_a_second_start_tells_nothing_to_another_user_who_answers_for_the_window(report):
    assert not report["handed to an impostor"]
    assert report["impostor heard"] is None


@posix
def test_socket_and_folder_are_for_this_user_only(qtbot, tmp_path):
    folder = str(tmp_path / "data")
    make_private(folder)
    single = SingleInstance(folder)
    try:
        assert single.claim()
        where = (tmp_path / "data" / ADDRESS).read_text()
        assert is_private(os.path.dirname(where))
        assert stat.S_IMODE(os.stat(where).st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "data" / ADDRESS).stat().st_mode) == 0o600
    finally:
        single.close()
    assert not os.path.exists(where)


@pytest.fixture
def short():
    """A folder whose path is short: that of a socket may have some 100 bytes."""
    with tempfile.TemporaryDirectory(prefix="h-", dir="/tmp") as folder:
        yield Path(folder)


@posix
def test_a_folder_that_others_may_enter_gets_a_socket_elsewhere_and_leaves_nothing_behind(qtbot, short, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(short))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    (short / "open").mkdir(mode=0o755)
    single = SingleInstance(str(short / "open"))
    assert single.claim()
    where = Path((short / "open" / ADDRESS).read_text())
    assert where.parent.parent == short
    assert is_private(str(where.parent))
    single.close()
    assert [p.name for p in short.iterdir()] == ["open"]


@posix
def test_where_the_folder_for_passing_files_is_deep_too_the_socket_lies_in_one_that_is_not(
    qtbot, tmp_path, monkeypatch
):
    deep = tmp_path / ("d" * 60)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    single = SingleInstance(str(deep))
    assert single.claim()
    where = Path((deep / ADDRESS).read_text())
    assert where.is_socket()
    assert where.parent.parent == Path("/tmp")
    assert is_private(str(where.parent))
    single.close()
    assert not where.parent.exists()
    assert list(deep.glob("heddle-window-*")) == []


@posix
def test_a_window_that_cannot_listen_leaves_no_folder_behind(qtbot, short, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(short))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(QLocalServer, "listen", lambda self, name: False)
    (short / "open").mkdir(mode=0o755)
    single = SingleInstance(str(short / "open"))
    assert single.claim()
    assert [p.name for p in short.iterdir()] == ["open"]
    single.close()


@posix
def test_what_a_killed_window_left_is_taken_away(qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    (tmp_path / "open").mkdir(mode=0o755)
    left = tmp_path / "heddle-window-x"
    left.mkdir(mode=0o700)
    (left / "heddle.socket").touch()
    (tmp_path / "open" / ADDRESS).write_text(str(left / "heddle.socket"))
    single = SingleInstance(str(tmp_path / "open"))
    try:
        assert single.claim()
        assert not left.exists()
    finally:
        single.close()


@posix
def test_the_other_end_of_a_socket_is_known_by_its_user():
    import socket

    one, two = socket.socketpair()
    with one, two:
        assert uid_of(one.fileno()) == os.geteuid()
    assert uid_of(one.fileno()) == -1


def test_the_second_of_a_folder_is_told_from_the_first_of_another(qtbot, tmp_path):
    first, second, other = (SingleInstance(str(tmp_path / name)) for name in ("a", "a", "b"))
    for name in ("a", "b"):
        (tmp_path / name).mkdir(exist_ok=True)
    try:
        assert first.claim()
        assert not second.claim()
        assert other.claim()
        first.close()
        assert second.claim()
    finally:
        for one in (first, second, other):
            one.close()
