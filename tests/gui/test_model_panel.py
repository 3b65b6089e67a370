"""The model panel: choosing, loading, cancelling, unloading, and what cannot be used."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QFileDialog
from test_main_window import drop
from window_helpers import wait_for


@pytest.fixture
def window(qtbot, make_window):
    made = make_window()
    wait_for(qtbot, lambda: made.model_panel.choice.count() == 4)
    made.arrangement.open("model")
    return made


def test_models_are_listed_and_unusable_ones_say_why(window):
    items = window.model_panel._items
    assert [items.item(r).isEnabled() for r in range(4)] == [True, True, True, False]
    assert "model-00002-of-00003.safetensors is missing" in items.item(3).toolTip()
    assert window.model_panel.choice.currentText() == "all-MiniLM-L6-v2 (starter)"


def test_the_facts_say_what_the_model_is_and_what_memory_it_takes(window, qtbot):
    wait_for(qtbot, lambda: dict(window.model_panel.facts.lines).get("Family"))
    facts = dict(window.model_panel.facts.lines)
    assert facts["Family"] == "bert, 22.7 million parameters"
    assert facts["Reads"] == "256 tokens, gives 384 numbers"
    assert facts["Memory"] == "90.9 MB in use, 6.2 GB free"
    assert facts["Runs"] == "packed, float32"


def test_choosing_another_model_opens_and_remembers_it(window, qtbot):
    window.model_panel.choice.setCurrentIndex(1)
    window.model_panel.choice.activated.emit(1)
    wait_for(
        qtbot, lambda: window.session.model.name == "multilingual-e5-small" and window.session.model.status == "ready"
    )
    wait_for(qtbot, lambda: window._settings.text("model") == "/models/multilingual-e5-small")
    assert window._settings.strings("recent_models") == ["/models/multilingual-e5-small"]


def test_a_load_shows_progress_and_can_be_cancelled(qtbot, make_window):
    window = make_window("--load-seconds", 30, ready=False)
    window.arrangement.open("model")
    panel = window.model_panel
    wait_for(qtbot, lambda: panel.progress.value() > 0)
    assert panel.cancel.isVisible()
    assert not panel.unload.isVisible()
    assert "Loading" in window.toolbar.model.text()
    panel.cancel.click()
    wait_for(qtbot, lambda: window.session.model.status == "none")
    assert "cancelled" in panel._message.text()
    assert not panel.progress.isVisible()
    assert window.messages.texts == []


def test_a_model_that_cannot_be_loaded_says_why(window, qtbot):
    window.session.loader.open("/models/broken")
    wait_for(qtbot, lambda: window.session.model.status == "failed")
    assert "cut off" in window.model_panel._message.text()
    assert window.model_panel._word.text() == "Cannot be used"
    assert window._settings.text("model") == "starter"


def test_unload_gives_the_model_back(window, qtbot):
    wait_for(qtbot, window.model_panel.unload.isVisible)
    window.model_panel.unload.click()
    wait_for(qtbot, lambda: window.session.model.status == "none")
    assert window.model_panel._word.text() == "No model is open"
    assert not window.actions_.start.isEnabled()


def test_a_folder_without_a_model_is_searched_and_said(window, qtbot):
    window.model_panel.try_folder("/home/me/things")
    wait_for(qtbot, lambda: any("no config.json" in text for text in window.messages.texts))
    assert window._settings.strings("model_folders") == ["/home/me/things"]


def test_a_folder_with_a_model_is_opened(window, qtbot):
    window.model_panel.try_folder("/models/multilingual-e5-small")
    wait_for(qtbot, lambda: window.session.model.name == "multilingual-e5-small")
    wait_for(qtbot, lambda: window.session.model.status == "ready")


def test_the_folder_dialog_does_not_block(window, qtbot):
    window.model_panel.choose_folder()
    dialog = window.findChild(QFileDialog)
    assert dialog.isVisible()
    assert dialog.testAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.reject()


def test_a_model_folder_that_is_dropped_on_the_panel_is_opened(window, qtbot):
    panel = window.model_panel
    drop(window, "/models/multilingual-e5-small", at=QPointF(panel.mapTo(window, panel.rect().center())))
    wait_for(qtbot, lambda: window.session.model.name == "multilingual-e5-small")
    wait_for(qtbot, lambda: window.session.model.status == "ready")
    assert window.drops.overlay.text == "Drop to open this model"
    assert not window.session.jobs


def test_the_one_line_of_the_panel_takes_a_model_folder_as_well(window, qtbot):
    dock = window.arrangement.docks["model"]
    dock.fold(folded=True)
    wait_for(qtbot, lambda: dock.height() < 60)
    drop(window, "/models/multilingual-e5-small", at=QPointF(dock.geometry().center()))
    wait_for(qtbot, lambda: window.session.model.name == "multilingual-e5-small")
    assert not window.session.jobs


def test_several_things_that_are_dropped_on_the_panel_are_documents(window, qtbot):
    panel = window.model_panel
    drop(window, "/a.txt", "/b.txt", at=QPointF(panel.mapTo(window, panel.rect().center())))
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 20)
    assert window.session.model.name.startswith("all-MiniLM")


def test_a_model_file_is_looked_into_and_its_folder_remembered(window, qtbot, tmp_path):
    path = tmp_path / "cut.gguf"
    path.write_bytes(b"GGUF")
    window.model_panel.open_file.click()
    (dialog,) = window.model_panel.findChildren(QFileDialog)
    assert dialog.nameFilters()[0] == "Models (*.gguf)"
    dialog.filesSelected.emit([str(path)])
    dialog.close()
    wait_for(qtbot, lambda: any("no config.json" in text for text in window.messages.texts))
    assert window._settings.text("last_model_folder") == str(tmp_path)
    assert window._settings.strings("model_folders") == []
