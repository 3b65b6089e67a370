"""Rows of the pile as a table for the clipboard."""

from __future__ import annotations

import re

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QTableView

from engine.api.formulas import guarded
from gui.tables.pile_table import PileTable

_NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?( %)?", re.ASCII)


def selected_rows(view: QTableView, table: PileTable) -> str:
    """Return the selected rows as lines of cells with tabs between them, below a header, in the order that is shown.

    The columns are those that are shown. No cell holds a tab or a line end, and none can become a formula in a
    spreadsheet.
    """
    header = view.horizontalHeader()
    columns = sorted((c for c in range(table.columnCount()) if not header.isSectionHidden(c)), key=header.visualIndex)
    rows = sorted(index.row() for index in view.selectionModel().selectedRows())
    lines = [[str(table.headerData(column, Qt.Orientation.Horizontal)) for column in columns]]
    lines += [[_cell(table.whole(row, column)) for column in columns] for row in rows]
    return "".join("\t".join(line) + "\n" for line in lines)


def _cell(text: str) -> str:
    return text if _NUMBER.fullmatch(text) else guarded(text)
