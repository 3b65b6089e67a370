"""What tests of the window share beside the fixtures."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QMessageBox

from gui.engine_process import Patience
from gui.main_window import MainWindow

FAKE = str(Path(__file__).with_name("fake_engine.py"))
WAIT = 20_000
"""Milliseconds until a condition that does not come true fails a test."""

QUICK = Patience(hello=15, quiet=0.6, kill=1.5, goodbye=1.0, healthy=30, watch=0.05, backoff=(0.05, 0.1, 0.1, 0.1, 0.1))


def close(qtbot, window: MainWindow) -> None:
    """Close a window without asking and wait until its engine is gone."""
    if not window.closing.ended:
        with qtbot.waitSignal(window.closed, timeout=WAIT):
            window.closing.now()
    window.deleteLater()


def wait_for(qtbot, condition: Callable[[], object]) -> None:
    """Wait until a condition is true."""
    qtbot.waitUntil(lambda: bool(condition()), timeout=WAIT)


def end_engine(qtbot, window: MainWindow, how: signal.Signals = signal.SIGKILL) -> None:
    """End the window's engine from outside and wait until the window has noticed; soon after it starts another."""
    with qtbot.waitSignal(window.session.client.died, timeout=WAIT):
        os.kill(window.session.client.pid, how)


def press(box: QMessageBox, word: str) -> None:
    """Press the button of a question whose text holds ``word``, with or without its mnemonic."""
    next(button for button in box.buttons() if word in (button.text(), button.text().replace("&", ""))).click()


class Recorder(QObject):
    """Keeps what a signal said."""

    def __init__(self, *signals) -> None:
        super().__init__()
        self.heard: list = []
        for one in signals:
            one.connect(lambda *args: self.heard.append(args[0] if len(args) == 1 else args))
