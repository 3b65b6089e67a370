"""The two models that come with Heddle: the window takes the one that the chosen task needs."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QPushButton
from window_helpers import wait_for


def opened(window):
    return window.session.model.status, window.session.model.folder


@pytest.fixture
def window(qtbot, make_window):
    made = make_window("--with-writer")
    wait_for(qtbot, lambda: made.model_panel.choice.count() == 5 and made.session.facts is not None)
    return made


def summarise(window):
    return next(b for b in window.task_panel.findChildren(QPushButton) if b.text() == "Summarise")


def test_one_click_on_a_preset_fills_the_form_and_opens_the_writer(qtbot, window):
    summarise(window).click()
    assert window.task_panel.task == "generate"
    assert window.task_panel.values()["prompt"] == "Summarise: {text}"
    wait_for(qtbot, lambda: opened(window) == ("ready", "/models/SmolLM2.gguf"))
    assert any(
        "SmolLM2 135M Instruct (writer) is opened for this task. It is small." in t for t in window.messages.texts
    )
    wait_for(qtbot, lambda: window._settings.text("model") == "writer")
    assert window._settings.strings("recent_models") == []


def test_going_back_to_a_task_over_vectors_opens_the_starter_again(qtbot, window):
    summarise(window).click()
    wait_for(qtbot, lambda: opened(window) == ("ready", "/models/SmolLM2.gguf") and window.session.facts is not None)
    choice = window.task_panel.choice
    choice.setCurrentIndex(choice.findData("embed"))
    wait_for(qtbot, lambda: opened(window) == ("ready", "/models/all-MiniLM-L6-v2"))


def test_a_model_of_the_users_own_stays_open(qtbot, window):
    window.session.loader.open("/models/multilingual-e5-small")
    wait_for(qtbot, lambda: opened(window) == ("ready", "/models/multilingual-e5-small") and window.session.facts)
    summarise(window).click()
    assert window.task_panel.task == "generate"
    window.session.loader.refresh()
    wait_for(qtbot, lambda: not window.session.loader.listing)
    assert opened(window) == ("ready", "/models/multilingual-e5-small")


def test_choosing_the_starter_by_hand_is_not_undone(qtbot, window):
    summarise(window).click()
    wait_for(qtbot, lambda: opened(window) == ("ready", "/models/SmolLM2.gguf") and window.session.facts is not None)
    window.session.loader.open("starter")
    wait_for(qtbot, lambda: opened(window) == ("ready", "/models/all-MiniLM-L6-v2") and window.session.facts)
    window.session.loader.refresh()
    wait_for(qtbot, lambda: not window.session.loader.listing)
    assert opened(window) == ("ready", "/models/all-MiniLM-L6-v2")
