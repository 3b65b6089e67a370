"""Closing asks while something is under way, then ends window and engine."""

from __future__ import annotations

import psutil
import pytest
from PySide6.QtCore import QProcess
from window_helpers import press, wait_for


def started(qtbot, make_window, *arguments):
    window = make_window("--per-tick", 1, "--rows", 60, *arguments)
    window.session.commands.add_paths(["/x"])
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 60)
    window.session.commands.start("embed", {})
    wait_for(qtbot, lambda: window.session.job.count("done"))
    return window


def test_an_idle_window_closes_without_asking(qtbot, make_window):
    window = make_window()
    engine = psutil.Process(window.session.client.pid)
    with qtbot.waitSignal(window.closed, timeout=5000):
        window.close()
    assert window.closing.question is None
    assert not window.isVisible()
    assert not engine.is_running()


def test_closing_in_the_middle_asks_and_cancel_keeps_it_running(qtbot, make_window):
    window = started(qtbot, make_window)
    window.close()
    box = window.closing.question
    assert box is not None
    assert box.isVisible()
    assert "Cancel" in box.defaultButton().text()
    press(box, "Cancel")
    done = window.session.job.count("done")
    wait_for(qtbot, lambda: window.session.job.count("done") > done)
    assert window.isVisible()
    wait_for(qtbot, lambda: window.closing.question is None)


def test_stop_and_close_ends_the_engine(qtbot, make_window):
    window = started(qtbot, make_window)
    engine = psutil.Process(window.session.client.pid)
    window.close()
    with qtbot.waitSignal(window.closed, timeout=5000):
        press(window.closing.question, "Stop and close")
        assert not window.isVisible()
    assert not engine.is_running()


def test_an_engine_that_does_not_end_is_killed(qtbot, make_window):
    window = started(qtbot, make_window, "--ignore", "Shutdown")
    engine = psutil.Process(window.session.client.pid)
    with qtbot.waitSignal(window.closed, timeout=5000):
        window.closing.now()
    assert not engine.is_running()


def test_asking_twice_shows_one_question(qtbot, make_window):
    window = started(qtbot, make_window)
    window.close()
    box = window.closing.question
    window.close()
    assert window.closing.question is box
    press(box, "Cancel")
    wait_for(qtbot, lambda: window.closing.question is None)


def test_results_that_are_not_exported_are_kept_and_not_asked_for(qtbot, make_window):
    window = started(qtbot, make_window, "--per-tick", "60")
    wait_for(qtbot, lambda: window.session.job.state.status == "finished")
    with qtbot.waitSignal(window.closed, timeout=5000):
        window.close()


def test_a_paused_pile_is_not_asked_for(qtbot, make_window):
    window = started(qtbot, make_window)
    window.session.commands.pause()
    wait_for(qtbot, lambda: window.session.job.state.status == "paused")
    with qtbot.waitSignal(window.closed, timeout=5000):
        window.close()


def test_no_process_of_the_window_is_left(qtbot, make_window):
    window = started(qtbot, make_window)
    wait_for(qtbot, lambda: window.awake.held)
    with qtbot.waitSignal(window.closed, timeout=5000):
        window.closing.now()
    assert not window.awake.held
    running = [p for p in window.findChildren(QProcess) if p.state() != QProcess.ProcessState.NotRunning]
    assert running == []


@pytest.mark.parametrize("arguments", [("--no-hello",), ("--hello-after", "30")])
def test_closing_while_the_engine_starts(qtbot, make_window, arguments):
    window = make_window(*arguments, ready=False)
    wait_for(qtbot, lambda: window.session.client.alive)
    with qtbot.waitSignal(window.closed, timeout=5000):
        window.close()
