"""Which column of a table is the text: asked by the row that is chosen, answered by adding the table anew."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QInputDialog, QWidget

from engine.api import Reply
from engine.api.snapshot import DocumentRow
from engine.api.table_row import column_of
from gui.session import Session


def text_column(row: DocumentRow | None) -> str:
    """Return the column that a row of a table has its text from; empty for other documents and for single columns."""
    return "" if row is None else column_of(row.locator)


class TextColumn(QObject):
    """Lets another column of a table be the text."""

    def __init__(self, session: Session, window: QWidget) -> None:
        """Ask about documents of the pile of ``session`` that is shown; dialogs belong to ``window``."""
        super().__init__(window)
        self._session, self._window = session, window

    def choose(self, document: int) -> None:
        """Ask which column of the table of this document is to be the text."""
        job = self._session.job
        row = None if job is None else job.pile.records.get(document)
        if row is None or not text_column(row):
            return

        def answered(reply: Reply) -> None:
            columns = list(reply.value.get("columns") or {}) if reply.ok else []
            if columns:
                self._ask(row, columns)
            else:
                self._session.notice(
                    "warning", self.tr("The columns cannot be read from this row. Choose another row of the table.")
                )

        self._session.commands.inspect(document, answered)

    def _ask(self, row: DocumentRow, columns: list[str]) -> None:
        dialog = QInputDialog(self._window)
        dialog.setObjectName("text_column")
        dialog.setWindowTitle(self.tr("Text of the table"))
        dialog.setLabelText(
            self.tr("Now the texts are those of the column {column}. Take them from:").format(column=text_column(row))
        )
        dialog.setComboBoxItems(columns)
        dialog.setComboBoxEditable(False)
        dialog.textValueSelected.connect(lambda column: self._use(row, column))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _use(self, row: DocumentRow, column: str) -> None:
        """Take the rows of the table off the pile, and add it with another column; Undo brings them back."""
        job = self._session.job
        if job is None:
            return
        now = text_column(row)
        rows = [n for n, one in job.pile.records.items() if one.path == row.path and text_column(one) == now]
        self._session.commands.remove(rows, lambda: self._session.commands.add_paths([row.path], column))
