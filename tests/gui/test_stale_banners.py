"""Banners go when what they say is no longer true."""

from __future__ import annotations

from test_main_window import counts, drop, filled
from window_helpers import end_engine, wait_for

from engine.api import JobState
from gui.banner import Banner
from gui.job import Job


def said(window, words: str) -> bool:
    return any(words in text for text in window.messages.texts)


def test_that_the_engine_will_start_again_is_taken_back_once_it_has_and_that_it_had_to_once_a_pile_is_done(
    qtbot, make_window, tmp_path
):
    window = filled(qtbot, make_window, "--session", tmp_path / "s", "--keep", "--per-tick", 2, rows=40)
    end_engine(qtbot, window)
    assert said(window, "It starts again in")
    wait_for(qtbot, lambda: said(window, "It was started again."))
    assert not said(window, "It starts again in")
    assert said(window, "SIGKILL")
    wait_for(qtbot, window.actions_.start.isEnabled)
    window.start()
    wait_for(qtbot, lambda: window.session.job.state.status == "finished")
    assert window.messages.texts == []


def test_that_a_pile_was_resumed_is_taken_back_when_it_is_done(qtbot, make_window, tmp_path):
    window = filled(qtbot, make_window, "--session", tmp_path / "s", "--keep", "--per-tick", 2, rows=60)
    window.start()
    wait_for(qtbot, lambda: counts(window).get("done"))
    end_engine(qtbot, window)
    wait_for(qtbot, lambda: said(window, "Resumed 'folder'"))
    wait_for(qtbot, lambda: window.session.job.state.status == "finished")
    wait_for(qtbot, lambda: window.messages.texts == [])


def test_an_error_of_a_command_is_taken_back_when_the_pile_has_been_done(qtbot, make_window):
    window = filled(qtbot, make_window, "--refuse", "Pause", "--per-tick", 1)
    window.start()
    wait_for(qtbot, lambda: counts(window).get("done"))
    window.actions_.pause.trigger()
    wait_for(qtbot, lambda: said(window, "told to refuse"))
    wait_for(qtbot, lambda: window.session.job.state.status == "finished")
    wait_for(qtbot, lambda: not said(window, "told to refuse"))


def test_why_the_engine_paused_a_pile_is_said_and_taken_back_when_it_goes_on(qtbot, make_window):
    window = make_window()
    session = window.session

    def state(status: str, message: str) -> None:
        told = JobState("j", "mails", status, False, 0, "classify", {"waiting": 1}, 0, 0, 0.0, -1.0, message)
        session.jobs["j"] = Job("j", "mails", told)
        session.jobs_changed.emit()

    state("paused", "The device stopped answering.")
    assert window.messages.texts == ["'mails' was paused: The device stopped answering."]
    state("running", "")
    assert window.messages.texts == []
    state("paused", "")  # by the user
    assert window.messages.texts == []


def test_what_was_said_of_a_model_goes_with_the_next_one(qtbot, make_window):
    window = make_window()
    window.session.loader.open("/models/broken")
    wait_for(qtbot, lambda: said(window, "cut off"))
    window.session.loader.open("starter")
    assert not said(window, "cut off")
    wait_for(qtbot, lambda: window.session.model.status == "ready")


def test_what_has_no_topic_stays_until_it_is_dismissed(qtbot, make_window):
    window = make_window()
    window.messages.add([Banner("info", "kept"), Banner("info", "passing", "x")])
    window.messages.withdraw("")
    window.messages.withdraw("x")
    assert window.messages.texts == ["kept"]
    drop(window, "/some")
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 20)
    assert window.messages.texts == ["kept"]
