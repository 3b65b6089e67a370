"""Start, Pause, Resume, Stop and Retry in the window: what is offered when, and what it says."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget
from test_main_window import counts, filled, run
from window_helpers import press, wait_for

from gui.main_window import MainWindow


def status(window: MainWindow) -> str:
    return window.session.job.state.status


def pausing(qtbot, make_window) -> MainWindow:
    """A window whose job has been paused while something of it is in work that takes long."""
    window = filled(qtbot, make_window, "--per-tick", 3, "--slow-pause", rows=40)
    window.start()
    wait_for(qtbot, lambda: counts(window).get("done"))
    window.actions_.pause.trigger()
    wait_for(qtbot, lambda: status(window) == "pausing")
    wait_for(qtbot, lambda: window.actions_.pause.text() == "&Resume")
    return window


def test_while_a_pile_is_pausing_resume_and_stop_can_be_pressed_and_the_line_says_what_is_left(qtbot, make_window):
    window = pausing(qtbot, make_window)
    left = counts(window)["running"]
    wait_for(qtbot, lambda: f"Pausing, {left} documents still in work" in window.status.text.text())
    actions = window.actions_
    assert actions.pause.isEnabled()
    assert actions.stop.isEnabled()
    assert actions.start.isEnabled()
    assert window.awake.held
    window.dialogs.jobs()
    jobs = window.dialogs.shown["jobs"]
    wait_for(qtbot, jobs.actions_["resume"].isEnabled)
    assert jobs.table.index(0, 1).data() == "pausing"
    actions.pause.trigger()
    wait_for(qtbot, lambda: status(window) == "finished")
    assert sum(counts(window).values()) == 40


def test_an_answer_that_is_long_in_coming_takes_no_button_away(qtbot, make_window):
    window = filled(qtbot, make_window, "--per-tick", 1, "--ignore", "Pause", rows=40)
    window.start()
    wait_for(qtbot, lambda: counts(window).get("done"))
    window.actions_.pause.trigger()  # which this engine never answers
    window.refresh_actions()
    assert window.actions_.pause.isEnabled()
    assert window.actions_.stop.isEnabled()
    window.actions_.stop.trigger()
    wait_for(qtbot, lambda: status(window) == "cancelled")
    wait_for(qtbot, window.actions_.start.isEnabled)


def test_a_pile_that_is_pausing_can_be_stopped_and_started_again(qtbot, make_window):
    window = pausing(qtbot, make_window)
    window.actions_.stop.trigger()
    wait_for(qtbot, lambda: status(window) == "cancelled")
    window.actions_.start.trigger()
    wait_for(qtbot, lambda: status(window) == "finished")
    assert counts(window)["cancelled"] == 0


def test_start_after_stop_goes_on_with_the_rest_without_a_question(qtbot, make_window):
    window = filled(qtbot, make_window, "--per-tick", 2, rows=40)
    window.start()
    wait_for(qtbot, lambda: counts(window).get("done"))
    window.actions_.stop.trigger()
    wait_for(qtbot, lambda: counts(window).get("cancelled"))
    done = {n for n, row in window.session.job.pile.records.items() if row.state == "done"}
    wait_for(qtbot, lambda: "Go on with the" in window.actions_.start.toolTip())
    window.actions_.start.trigger()
    assert window.findChild(QWidget, "question") is None
    wait_for(qtbot, lambda: status(window) == "running")
    assert all(window.session.job.pile.records[n].state == "done" for n in done)
    wait_for(qtbot, lambda: status(window) == "finished")
    assert counts(window)["cancelled"] == 0


def test_running_all_again_stays_in_the_menu_and_asks(qtbot, make_window):
    window = filled(qtbot, make_window, "--per-tick", 4)
    run(qtbot, window)
    wait_for(qtbot, window.actions_.run_again.isEnabled)
    window.actions_.run_again.trigger()
    box = window.findChild(QWidget, "question")
    aside = box.geometry().center() - window.geometry().center()
    assert aside.manhattanLength() < 40  # in the middle of the window that asks
    press(box, "Run again")
    wait_for(qtbot, lambda: status(window) in ("queued", "running"))
    wait_for(qtbot, lambda: status(window) == "finished")


def test_results_of_two_tasks_are_not_mixed_without_a_question(qtbot, make_window):
    window = filled(qtbot, make_window, "--per-tick", 2, rows=30)
    window.start()
    wait_for(qtbot, lambda: counts(window).get("done"))
    window.actions_.stop.trigger()
    wait_for(qtbot, lambda: counts(window).get("cancelled"))
    window.task_panel.preset("embed", {})
    wait_for(qtbot, window.actions_.start.isEnabled)
    window.actions_.start.trigger()
    box = window.findChild(QWidget, "question")
    assert "done with other settings" in box.text()
    press(box, "Run all again")
    wait_for(qtbot, lambda: status(window) == "finished")
    summaries = {row.summary for row in window.session.job.pile.records.values() if row.state == "done"}
    assert summaries == {"384 dimensions"}


def test_retry_says_how_many_of_what_it_runs_again(qtbot, make_window):
    window = filled(qtbot, make_window, "--per-tick", 5, rows=40)
    window.start()
    wait_for(qtbot, lambda: counts(window).get("failed"))
    window.actions_.stop.trigger()
    wait_for(qtbot, lambda: counts(window).get("cancelled"))
    cancelled = counts(window)["cancelled"]
    wait_for(qtbot, lambda: window.actions_.retry_failed.text() == f"&Retry 1 failed + {cancelled} cancelled")
    window.actions_.retry_failed.trigger()
    wait_for(qtbot, lambda: status(window) == "finished")
    wait_for(qtbot, lambda: window.actions_.retry_failed.text() == "&Retry 1 failed")


def test_a_pile_that_the_open_model_cannot_go_on_with_stays_paused_and_a_line_says_why(qtbot, make_window):
    window = filled(qtbot, make_window, "--with-writer", "--per-tick", 2, rows=30)
    window.start()
    wait_for(qtbot, lambda: counts(window).get("done"))
    window.actions_.pause.trigger()
    wait_for(qtbot, lambda: status(window) == "paused")
    window.session.loader.open("writer")
    wait_for(qtbot, lambda: window.session.model.status == "ready" and window.session.writes)
    window.actions_.pause.trigger()
    assert any("stays paused. This model cannot do this task" in text for text in window.messages.texts)
    assert status(window) == "paused"
    window.session.loader.open("starter")
    wait_for(qtbot, lambda: window.session.facts is not None and not window.session.writes)
    window.actions_.pause.trigger()
    wait_for(qtbot, lambda: status(window) == "finished")
    assert not any("stays paused" in text for text in window.messages.texts)
