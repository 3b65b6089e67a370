"""Tables in the real window: other columns beside the result, and another column as the text."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QComboBox, QInputDialog
from test_main_window import drop
from test_window_real_engine import rows, window  # noqa: F401 - the fixture
from window_helpers import wait_for

pytestmark = pytest.mark.timeout(180)

TABLE = """id,subject,message
1,Barn,The dog and the two cats slept beside the old horse in the barn.
2,Bank,The invoice was paid late so the bank charged a fee on the account.
3,Sky,Heavy rain and strong wind are expected tonight and the sun returns on Friday.
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return path


def test_the_other_columns_stand_beside_the_result_before_and_after_the_run(qtbot, window, table):  # noqa: F811
    drop(window, str(table))
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 3)
    assert list(rows(window)) == [f"table.csv, row {n}, message" for n in (2, 3, 4)]
    window.pile_panel.view.selectRow(1)
    facts = window.result_panel.view.facts
    wait_for(qtbot, lambda: ("subject", "Bank") in facts.lines)
    wait_for(qtbot, window.actions_.start.isEnabled)
    window.actions_.start.trigger()
    wait_for(qtbot, lambda: window.session.job.state.status == "finished")
    wait_for(qtbot, lambda: window.result_panel.view._title.text() == "money")
    assert facts.lines.count(("subject", "Bank")) == 1


def test_another_column_becomes_the_text_and_undo_brings_the_first_back(qtbot, window, table):  # noqa: F811
    drop(window, str(table))
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 3)
    window.pile_panel.view.selectRow(0)
    wait_for(qtbot, window.actions_.text_column.isEnabled)
    window.actions_.text_column.trigger()
    wait_for(qtbot, lambda: window.findChild(QInputDialog, "text_column") is not None)
    dialog = window.findChild(QInputDialog, "text_column")
    assert dialog.comboBoxItems() == ["id", "subject"]
    dialog.findChild(QComboBox).setCurrentText("subject")
    dialog.accept()
    wait_for(qtbot, lambda: list(rows(window)) == [f"table.csv, row {n}, subject" for n in (2, 3, 4)])
    window.pile_panel.view.selectRow(2)
    wait_for(qtbot, lambda: window.result_panel.text.toPlainText() == "Sky")
    wait_for(qtbot, window.actions_.undo.isEnabled)
    window.actions_.undo.trigger()
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 6)


def test_documents_that_are_no_rows_have_no_column_to_choose(qtbot, window, tmp_path):  # noqa: F811
    (tmp_path / "a.txt").write_text("a text, with a comma")
    drop(window, str(tmp_path / "a.txt"))
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 1)
    window.pile_panel.view.selectRow(0)
    wait_for(qtbot, window.actions_.remove_selected.isEnabled)
    assert not window.actions_.text_column.isEnabled()
