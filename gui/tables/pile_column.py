"""The columns of the pile: those that every document has, and behind them one for each field that results have."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

from PySide6.QtCore import Qt

from engine.api import DocumentRow
from gui.escape import shown
from gui.widgets.long_lines import brief


class Column(IntEnum):
    """The columns in their first order; those from SIZE on are hidden until wanted."""

    STATE = 0
    NAME = 1
    TOKENS = 2
    PROGRESS = 3
    SECONDS = 4
    LABEL = 5
    SCORE = 6
    RESULT = 7
    WARNING = 8
    SIZE = 9
    ENCODING = 10
    COVERAGE = 11
    UNKNOWN = 12
    WORKER = 13


RATED = (Column.LABEL, Column.SCORE)
"""Columns of piles whose results have a label and a score."""

OPTIONAL = (Column.WARNING, Column.SIZE, Column.ENCODING, Column.COVERAGE, Column.UNKNOWN, Column.WORKER)

_RIGHT = (Column.TOKENS, Column.SECONDS, Column.SCORE, Column.SIZE, Column.COVERAGE, Column.UNKNOWN, Column.WORKER)


def alignment(column: int) -> Qt.AlignmentFlag:
    """Return where the text of a column's cells lies."""
    side = Qt.AlignmentFlag.AlignRight if column in _RIGHT else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


def field_text(row: DocumentRow, name: str) -> str:
    """Return what a row has in the column of a field."""
    return shown(brief(dict(row.cells).get(name, "")))


def field_key(name: str) -> Callable[[DocumentRow], Any]:
    """Return what rows are sorted by in the column of a field: numbers by value, then texts, then those without any."""

    def key(row: DocumentRow) -> tuple[int, float, str]:
        text = dict(row.cells).get(name, "")
        try:
            return 0, float(text), ""
        except ValueError:
            return (1 if text else 2), 0.0, text.casefold()

    return key
