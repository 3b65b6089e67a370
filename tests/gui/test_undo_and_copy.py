"""Rows that are taken off can be brought back, and rows can be copied as a table."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QToolButton, QWidget
from test_main_window import counts, filled, run
from window_helpers import end_engine, press, wait_for

from gui.tables.pile_table import Column


@pytest.fixture
def window(qtbot, make_window):
    made = filled(qtbot, make_window, "--per-tick", 9)
    run(qtbot, made)
    made.activateWindow()
    wait_for(qtbot, made.isActiveWindow)
    wait_for(qtbot, lambda: made.pile_panel.table.index(19, Column.STATE).data() == "done")
    return made


def take_off(qtbot, window, *rows: int) -> None:
    view = window.pile_panel.view
    view.clearSelection()
    for row in rows:
        view.selectionModel().select(
            window.pile_panel.table.index(row, 0),
            view.selectionModel().SelectionFlag.Select | view.selectionModel().SelectionFlag.Rows,
        )
    left = window.pile_panel.table.rowCount() - len(rows)
    view.setFocus()
    qtbot.keyClick(view, Qt.Key.Key_Delete)
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == left)


def names(window) -> list[str]:
    table = window.pile_panel.table
    return [table.index(row, Column.NAME).data() for row in range(table.rowCount())]


def test_ctrl_z_brings_removed_rows_back_in_their_places(qtbot, window):
    before, had = names(window), counts(window)
    take_off(qtbot, window, 3, 4, 11)
    wait_for(qtbot, lambda: window.actions_.undo.text() == "&Undo removing 3 documents")
    qtbot.keyClick(window.pile_panel.view, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 20)
    assert names(window) == before
    wait_for(qtbot, lambda: counts(window) == had)
    assert not window.actions_.undo.isEnabled()


def test_the_message_of_a_removal_has_a_button_that_undoes_it(qtbot, window):
    take_off(qtbot, window, 0)
    wait_for(qtbot, lambda: "Took 1 document off the pile." in window.messages.texts)
    window.messages.findChild(QToolButton, "offer").click()
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 20)
    assert window.messages.texts == []


def test_clearing_a_pile_can_be_undone(qtbot, window):
    window.actions_.clear.trigger()
    press(window.findChild(QWidget, "question"), "C&lear")
    wait_for(qtbot, window.welcome.isVisible)
    wait_for(qtbot, window.actions_.undo.isEnabled)
    window.actions_.undo.trigger()
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 20)


def test_the_last_thing_that_was_done_is_undone_first(qtbot, window):
    first = window.session.current
    take_off(qtbot, window, 0)
    wait_for(qtbot, window.actions_.undo.isEnabled)
    window.session.commands.new_pile("other")
    wait_for(qtbot, lambda: not window.session.job.creating)
    other = window.session.current
    wait_for(qtbot, window.actions_.delete.isEnabled)
    window.actions_.delete.trigger()
    wait_for(qtbot, lambda: window.actions_.undo.text() == "&Undo deleting 'other'")
    window.actions_.undo.trigger()
    wait_for(qtbot, lambda: other in window.session.jobs)
    assert window.actions_.undo.text() == "&Undo removing 1 document"
    window.actions_.undo.trigger()
    wait_for(qtbot, lambda: len(window.session.jobs[first].pile) == 20)


def test_what_an_engine_took_off_cannot_be_undone_by_the_next(qtbot, window):
    take_off(qtbot, window, 0)
    wait_for(qtbot, window.actions_.undo.isEnabled)
    end_engine(qtbot, window)
    wait_for(qtbot, lambda: not window.actions_.undo.isEnabled())
    assert not any("Took 1 document" in text for text in window.messages.texts)


def test_ctrl_c_copies_the_selected_rows_as_a_table(qtbot, window):
    view = window.pile_panel.view
    view.selectRow(1)
    view.setFocus()
    qtbot.keyClick(view, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    header, row, end = QApplication.clipboard().text().split("\n")
    table, shown = window.pile_panel.table, [c for c in Column if not view.isColumnHidden(c)]
    assert {Column.STATE, Column.NAME, Column.LABEL, Column.SCORE} <= set(shown)
    assert header.split("\t") == [table.headerData(column, Qt.Orientation.Horizontal) for column in shown]
    assert row.split("\t") == [table.index(1, column).data() for column in shown]
    assert end == ""


def test_what_is_copied_cannot_become_a_formula_or_another_cell(qtbot, make_window):
    window = filled(qtbot, make_window, "--strange", rows=14)
    window.pile_panel.view.selectAll()
    window.actions_.copy_rows.trigger()
    lines = QApplication.clipboard().text().splitlines()
    assert len(lines) == 15
    assert len({line.count("\t") for line in lines}) == 1
    assert any("\t'=SUM(A1).csv\t" in line for line in lines)


def test_ctrl_c_in_a_text_copies_the_text(qtbot, window):
    window.pile_panel.view.selectRow(2)
    panel = window.result_panel
    wait_for(qtbot, lambda: "text of document 3" in panel.text.toPlainText())
    panel.text.setFocus()
    panel.text.selectAll()
    qtbot.keyClick(panel.text, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert "text of document 3" in QApplication.clipboard().text()
