"""The export dialog writes through the engine and stays open until the file is there."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QObject, Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QDialog, QFileDialog, QToolButton
from window_helpers import wait_for


@pytest.fixture
def finished(qtbot, make_window):
    def make(*arguments, task="classify"):
        window = make_window("--rows", 8, "--per-tick", 8, *arguments)
        window.session.commands.add_paths(["/x"])
        wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 8)
        window.session.commands.start(task, {"labels": "a\nb"} if task == "classify" else {})
        wait_for(qtbot, lambda: window.session.job.state.status == "finished")
        wait_for(qtbot, window.actions_.export.isEnabled)
        window.actions_.export.trigger()
        return window, window.dialogs.shown["export"]

    return make


def test_a_csv_is_written_and_said(qtbot, finished, tmp_path):
    window, dialog = finished()
    assert dialog.format == "csv"
    dialog.path.setText(str(tmp_path / "out.csv"))
    dialog.write.click()
    wait_for(qtbot, lambda: "export" not in window.dialogs.shown)
    assert (tmp_path / "out.csv").exists()
    assert any("Exported 8 documents" in text for text in window.messages.texts)


class Opener(QObject):
    """Stands for the system's own programs."""

    def __init__(self):
        super().__init__()
        self.opened = []

    @Slot(QUrl)
    def take(self, url):
        self.opened.append(url.toLocalFile())


@pytest.mark.parametrize("opens", [True, False])
def test_what_was_exported_can_be_opened_at_once(qtbot, finished, tmp_path, monkeypatch, opens):
    opener = Opener()
    window, dialog = finished()
    target = tmp_path / "my results #1.csv"
    dialog.path.setText(str(target))
    dialog.write.click()
    wait_for(qtbot, lambda: "export" not in window.dialogs.shown)
    if opens:
        QDesktopServices.setUrlHandler("file", opener, "take")
    else:
        monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: False)
    window.messages.findChild(QToolButton, "offer").click()
    QDesktopServices.unsetUrlHandler("file")
    assert opener.opened == ([str(target)] if opens else [])
    assert window.messages.texts == ([] if opens else [f"No program of this system opens {target}."])


def test_a_failed_export_shows_its_sentence_and_can_be_tried_again(qtbot, finished, tmp_path):
    window, dialog = finished("--export-fails", 1)
    dialog.path.setText(str(tmp_path / "out.csv"))
    dialog.write.click()
    wait_for(qtbot, dialog.message.isVisible)
    assert "disk is full" in dialog.message.text()
    assert dialog.write.isEnabled()
    dialog.write.click()
    wait_for(qtbot, lambda: "export" not in window.dialogs.shown)
    assert (tmp_path / "out.csv").exists()


def test_a_file_that_is_there_is_replaced_only_after_a_second_press(qtbot, finished, tmp_path):
    window, dialog = finished()
    target = tmp_path / "out.csv"
    target.write_text("mine", "utf-8")
    dialog.path.setText(str(target))
    dialog.write.click()
    assert "already" in dialog.message.text()
    assert target.read_text("utf-8") == "mine"
    dialog.write.click()
    wait_for(qtbot, lambda: "export" not in window.dialogs.shown)
    assert target.read_text("utf-8") != "mine"


def test_formats_change_the_ending_and_are_remembered(qtbot, finished, tmp_path):
    window, dialog = finished()
    dialog.path.setText(str(tmp_path / "out.csv"))
    dialog.formats["jsonl"].click()
    assert dialog.path.text() == str(tmp_path / "out.jsonl")
    dialog.write.click()
    wait_for(qtbot, lambda: "export" not in window.dialogs.shown)
    window.actions_.export.trigger()
    assert window.dialogs.shown["export"].format == "jsonl"
    assert window.dialogs.shown["export"].path.text().startswith(str(tmp_path))


def test_a_report_and_a_folder_of_texts_are_offered(finished, tmp_path):
    _, dialog = finished()
    dialog.path.setText(str(tmp_path / "out.csv"))
    dialog.formats["txt"].click()
    assert dialog.path.text() == str(tmp_path / "out")
    dialog.formats["md"].click()
    assert dialog.path.text() == str(tmp_path / "out.md")


def test_vectors_are_offered_only_where_there_are_some(finished):
    assert finished()[1].formats["npy"].isHidden()


def test_vectors_are_offered_for_embeddings(finished):
    _, dialog = finished(task="embed")
    assert not dialog.formats["npy"].isHidden()
    assert isinstance(dialog, QDialog)


def test_no_path_is_said(finished):
    _, dialog = finished()
    dialog.path.setText("  ")
    dialog.write.click()
    assert "Choose a file" in dialog.message.text()


def test_only_json_lines_can_grow_and_the_wish_reaches_the_engine(qtbot, finished, tmp_path, monkeypatch):
    window, dialog = finished()
    assert not dialog.grow.isVisible()
    dialog.formats["jsonl"].click()
    assert dialog.grow.isVisible()
    assert not dialog.grow.isChecked()  # the pile has ended
    dialog.grow.click()
    asked = []
    send = window.session.client.send
    monkeypatch.setattr(window.session.client, "send", lambda *a, **k: (asked.append(k), send(*a, **k))[1])
    dialog.path.setText(str(tmp_path / "out.jsonl"))
    dialog.write.click()
    wait_for(qtbot, lambda: "export" not in window.dialogs.shown)
    assert [one["grow"] for one in asked if "grow" in one] == [True]
    assert any("the others follow" in text for text in window.messages.texts)


@pytest.mark.parametrize("where", ["path", "format", "just opened"])
def test_enter_exports(qtbot, finished, tmp_path, where):
    window, dialog = finished()
    target = tmp_path / "out.csv"
    dialog.path.setText(str(target))
    wait_for(qtbot, dialog.isActiveWindow)
    {"path": dialog.path.setFocus, "format": dialog.formats["csv"].setFocus}.get(where, lambda: None)()
    qtbot.keyClick(dialog.focusWidget(), Qt.Key.Key_Return)
    assert window.findChild(QFileDialog) is None
    wait_for(qtbot, lambda: "export" not in window.dialogs.shown)
    assert target.exists()
