"""Every dialog that asks for files or folders, as Qt's own (there is no other offscreen), by keyboard."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtWidgets import QApplication, QFileDialog, QLineEdit
from window_helpers import wait_for

from gui.main_window import MainWindow


def open_dialogs(window: MainWindow) -> list[QFileDialog]:
    return [dialog for dialog in window.findChildren(QFileDialog) if dialog.isVisible()]


def type_path(qtbot, window: MainWindow, path: object) -> None:
    """Type a path into the file dialog that is open, and Enter."""
    name = open_dialogs(window)[0].findChild(QLineEdit, "fileNameEdit")
    name.setCompleter(None)  # its list pops up when the disk has answered, and takes the keys that come after that
    name.setFocus()
    wait_for(qtbot, name.hasFocus)  # without it, Qt takes what is typed for a selection and changes it
    name.clear()
    qtbot.keyClicks(name, str(path))
    qtbot.keyClick(name, Qt.Key.Key_Return)
    wait_for(qtbot, lambda: not open_dialogs(window))


@pytest.fixture
def files(tmp_path):
    """Two documents in a folder."""
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text("text", "utf-8")
    return folder


def paths_of(window: MainWindow) -> set[str]:
    return {row.path.rsplit("/", 1)[0] for row in window.session.job.pile.records.values()}


def test_a_file_that_is_typed_into_add_files_comes_onto_the_pile(qtbot, make_window, files):
    window = make_window("--rows", 1)
    window.actions_.add_files.trigger()
    type_path(qtbot, window, files / "a.txt")
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 1)
    assert paths_of(window) == {str(files / "a.txt")}
    assert window.session.settings.text("last_folder") == str(files)


def test_a_folder_that_is_typed_into_add_folder_comes_onto_the_pile(qtbot, make_window, files):
    window = make_window("--rows", 2)
    window.actions_.add_folder.trigger()
    type_path(qtbot, window, files)
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 2)
    assert paths_of(window) == {str(files)}


def test_a_folder_that_is_typed_into_watch_a_folder_is_watched(qtbot, make_window, files):
    window = make_window()
    window.session.commands.new_pile("inbox")
    window.refresh_actions()
    window.actions_.watch.trigger()
    type_path(qtbot, window, files)
    assert window.job_list.watched(window.session.current) == str(files)


def test_a_folder_that_is_typed_into_the_model_panel_is_looked_into(qtbot, make_window, files):
    window = make_window()
    window.model_panel.open.click()
    type_path(qtbot, window, files)
    wait_for(qtbot, lambda: any("no config.json" in text for text in window.messages.texts))
    assert window.session.settings.text("last_model_folder") == str(files)


def test_a_file_that_is_typed_into_browse_is_the_target_of_the_export(qtbot, make_window, files):
    window = make_window("--rows", 4, "--per-tick", 4)
    window.session.commands.add_paths(["/x"])
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 4)
    window.session.commands.start("embed", {})
    wait_for(qtbot, window.actions_.export.isEnabled)
    window.actions_.export.trigger()
    dialog = window.dialogs.shown["export"]
    dialog._browse()
    type_path(qtbot, window, files / "out")
    assert dialog.path.text() == str(files / f"out.{dialog.format}")


def test_what_a_dialog_of_the_system_says_in_two_signals_is_added_once(qtbot, make_window, files):
    window = make_window("--rows", 1)
    window.actions_.add_files.trigger()
    dialog = window.findChild(QFileDialog)
    path = str(files / "a.txt")
    dialog.urlsSelected.emit([QUrl.fromLocalFile(path)])  # as QFileDialog does for a native one, in this order
    dialog.urlSelected.emit(QUrl.fromLocalFile(path))
    dialog.filesSelected.emit([path])
    dialog.fileSelected.emit(path)
    dialog.reject()
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 1)
    with qtbot.waitSignal(window.session.ticked):
        pass
    with qtbot.waitSignal(window.session.ticked):
        pass
    assert window.pile_panel.table.rowCount() == 1


def test_escape_leaves_the_pile_as_it_is(qtbot, make_window):
    window = make_window()
    window.actions_.add_files.trigger()
    dialog = window.findChild(QFileDialog)
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    wait_for(qtbot, lambda: window.findChild(QFileDialog) is None)
    assert not window.session.jobs
    assert QApplication.activeModalWidget() is None
