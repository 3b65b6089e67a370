"""A fault of the window itself: one dialog, a log, and nothing stops."""

from __future__ import annotations

import faulthandler
import sys
import threading

import pytest
from PySide6.QtCore import QTimer
from window_helpers import wait_for

from gui.crash import ExceptionHook, FaultLog


@pytest.fixture
def hook(qapp, theme, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    made = ExceptionHook()
    yield made
    made.close()


def test_many_exceptions_open_one_dialog_that_counts_them(qtbot, hook, caplog):
    try:
        raise ValueError("first")
    except ValueError as error:
        for _ in range(25):
            sys.excepthook(ValueError, error, error.__traceback__)
    wait_for(qtbot, lambda: hook.dialog is not None)
    assert "24" in hook.dialog.note.text()
    assert "ValueError: first" in hook.dialog.text.toPlainText()
    assert len([r for r in caplog.records if r.name == "gui"]) == 25
    hook.dialog.close()
    wait_for(qtbot, lambda: hook.dialog is None)


def test_an_exception_in_a_timer_reaches_the_hook_and_the_timer_goes_on(qtbot, hook, monkeypatch, caplog):
    seen = []
    timer = QTimer()
    timer.setInterval(5)

    def tick():
        seen.append(1)
        raise RuntimeError("in a slot")

    timer.timeout.connect(tick)
    with qtbot.captureExceptions():  # pytest-qt puts its own hook in place; ours is called as Qt would
        before = sys.excepthook
        sys.excepthook = hook._caught
        timer.start()
        wait_for(qtbot, lambda: len(seen) > 5)
        timer.stop()
        sys.excepthook = before
    assert hook.dialog is not None
    assert hook.count > 5
    hook.dialog.close()
    wait_for(qtbot, lambda: hook.dialog is None)


def test_an_exception_on_another_thread_is_shown_on_the_main_one(qtbot, hook, caplog):
    def work():
        raise KeyError("elsewhere")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    wait_for(qtbot, lambda: hook.dialog is not None)
    assert "KeyError" in hook.dialog.text.toPlainText()
    hook.dialog.close()
    wait_for(qtbot, lambda: hook.dialog is None)


def test_ctrl_c_is_no_problem(qtbot, hook):
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert hook.dialog is None


def test_hooks_are_given_back(qapp, theme):
    before = sys.excepthook, threading.excepthook
    made = ExceptionHook()
    assert sys.excepthook != before[0]
    made.close()
    assert (sys.excepthook, threading.excepthook) == before


def test_what_a_crash_left_is_kept_under_another_name(tmp_path):
    was = faulthandler.is_enabled()
    (tmp_path / "crash.log").write_text("Fatal Python error", "utf-8")
    log = FaultLog(str(tmp_path))
    assert log.earlier == str(tmp_path / "crash-last.log")
    assert (tmp_path / "crash-last.log").read_text("utf-8") == "Fatal Python error"
    log.close()
    again = FaultLog(str(tmp_path))
    assert again.earlier == ""
    again.close()
    if was:
        faulthandler.enable()
