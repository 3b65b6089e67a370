"""What tests of the window share: a window with the fake engine, and a guard that finds what a test leaves behind."""

from __future__ import annotations

import gc
import os
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import psutil
import pytest
import shiboken6
from PySide6.QtCore import QEvent, QThread, QTimer, QtMsgType
from PySide6.QtWidgets import QApplication, QWidget
from window_helpers import FAKE, QUICK, WAIT, close

import gui  # noqa: F401 - protects None before anything of Qt is called
from gui.app import Options, build, dress
from gui.engine_client import EngineClient
from gui.engine_process import Patience
from gui.main_window import MainWindow
from gui.settings import Settings
from gui.theme import Theme

_made: weakref.WeakKeyDictionary[object, str] = weakref.WeakKeyDictionary()


def _note_birth(kind: type, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember where ``method`` of ``kind`` was called, for the guard's message."""
    original = getattr(kind, method)

    def noted(self, *args, **fields):
        _made[self] = "".join(traceback.format_stack(limit=6)[:-1])
        return original(self, *args, **fields)

    monkeypatch.setattr(kind, method, noted)


def _alive(kind: type) -> list:
    """Return the objects of ``kind`` that tests have started; a search of all objects would take a second with torch."""
    return [o for o in list(_made) if isinstance(o, kind) and shiboken6.isValid(o)]


@pytest.fixture(scope="session", autouse=True)
def _quick_collections() -> Iterator[None]:
    """Leave what other tests have loaded (torch alone makes half a million objects) out of every collection."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def _children() -> set[psutil.Process]:
    return {p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE}


@pytest.fixture(autouse=True)
def nothing_left_behind(qapp: QApplication, qtlog, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test that leaves a window, timer, thread or process alive, or makes Qt warn; say where it was made."""
    _note_birth(QTimer, "start", monkeypatch)
    _note_birth(QThread, "start", monkeypatch)
    _note_birth(QWidget, "show", monkeypatch)
    _note_birth(threading.Thread, "start", monkeypatch)
    threads, children = set(threading.enumerate()), _children()
    widgets = {id(w) for w in qapp.topLevelWidgets()}
    timers = {id(t) for t in _alive(QTimer) if t.isActive()}
    yield
    for _ in range(3):
        qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        qapp.processEvents()
    gc.collect()
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    left: list[tuple[str, object]] = []
    left += [("window", w) for w in qapp.topLevelWidgets() if id(w) not in widgets]
    left += [("running timer", t) for t in _alive(QTimer) if id(t) not in timers and t.isActive()]
    left += [("running QThread", t) for t in _alive(QThread) if t.isRunning() and t is not QThread.currentThread()]
    dummy = threading._DummyThread
    left += [("thread", t) for t in threading.enumerate() if t not in threads and not isinstance(t, dummy)]
    left += [("process", p) for p in _children() - children]
    for _, thing in left:  # so that the next test is not blamed
        if isinstance(thing, QWidget):
            thing.deleteLater()
        elif isinstance(thing, QTimer):
            thing.stop()
        elif isinstance(thing, psutil.Process):
            thing.kill()
    assert not left, "\n".join(
        f"left behind: {kind} {thing!r}, made at\n{_made.get(thing, '?')}" for kind, thing in left
    )
    warned = [
        r for r in qtlog.records if r.type in (QtMsgType.QtWarningMsg, QtMsgType.QtCriticalMsg, QtMsgType.QtFatalMsg)
    ]
    # Offscreen has no window manager to give windows their place; its plugin says so.
    warned = [r for r in warned if "This plugin does not support" not in r.message]
    assert not warned, "\n".join(f"Qt warned: {r.message}" for r in warned)


@pytest.fixture(scope="session")
def theme(qapp: QApplication, tmp_path_factory: pytest.TempPathFactory) -> Theme:
    """The application's theme, dressed once: fonts, palette, English."""
    settings = Settings(str(tmp_path_factory.mktemp("theme") / "window.ini"))
    settings.set_text("theme", "light")
    return dress(qapp, settings)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(str(tmp_path / "window.ini"))


@pytest.fixture
def fake() -> Callable[..., tuple[str, list[str]]]:
    """Return the command of a fake engine with arguments."""
    return lambda *arguments: (sys.executable, [FAKE, *map(str, arguments)])


@pytest.fixture
def make_client(qtbot, fake) -> Iterator[Callable[..., EngineClient]]:
    """Make clients of fake engines; all are shut down at the end of the test."""
    clients: list[EngineClient] = []

    def make(
        *arguments: object, patience: Patience = QUICK, command: tuple[str, list[str]] | None = None
    ) -> EngineClient:
        program, rest = command or fake(*arguments)
        clients.append(EngineClient(program, rest, patience=patience))
        return clients[-1]

    yield make
    for client in clients:
        if client.alive or client._restart.isActive():
            with qtbot.waitSignal(client.ended, timeout=WAIT):
                client.shutdown()
        client.deleteLater()


@pytest.fixture
def make_window(qtbot, theme: Theme, tmp_path: Path, fake) -> Iterator[Callable[..., MainWindow]]:
    """Make windows with fake engines, shown and with the engine ready; all are closed at the end of the test."""
    windows: list[MainWindow] = []

    def make(
        *arguments: object,
        sample: bool = False,
        paths: tuple[str, ...] = (),
        patience: Patience = QUICK,
        ready: bool = True,
        data: Path | None = None,
        command: tuple[str, list[str]] | None = None,
    ) -> MainWindow:
        folder = data or tmp_path
        store = Settings(str(folder / "window.ini"))
        window = build(
            Options(str(folder), paths, sample), store, theme, command=command or fake(*arguments), patience=patience
        )
        windows.append(window)
        window.show()
        if ready:
            qtbot.waitUntil(lambda: window.session.model.status == "ready" and window.live is not None, timeout=WAIT)
        return window

    yield make
    for window in windows:
        close(qtbot, window)
