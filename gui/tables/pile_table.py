"""The pile as an item model: records by id, its own sorting and filtering, one dataChanged a tick."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from engine.api import DocumentRow
from gui import words
from gui.escape import shown
from gui.pile import Change, Pile
from gui.tables.pile_column import Column, alignment, field_key, field_text
from gui.theme import Theme
from gui.widgets.long_lines import brief, for_label

Index = QModelIndex | QPersistentModelIndex

PROGRESS_ROLE = int(Qt.ItemDataRole.UserRole) + 1
"""Role under which the progress column gives (share, state) to its delegate."""

SEARCHABLE_A_TICK = 3_000
"""Rows made ready for a search in one tick."""

RUNS = 100
"""Runs of rows above which a change is told as a reset: each run costs the view one layout."""

MANY = 10_000
"""Rows more or less above which a change is told as a reset without looking for runs: that would stop the window."""

SHARE = 0.1
"""Share of the time that rebuilding a sorted or filtered order may take."""


_STATE_ORDER = {
    state: at
    for at, state in enumerate(
        ("quarantined", "failed", "offline", "running", "waiting", "done", "skipped", "cancelled")
    )
}
ENDED = ("done", "failed", "skipped", "quarantined")
"""States of documents of whose text is known how much was used."""


class PileTable(QAbstractTableModel):
    """Shows a Pile. ``order`` holds the ids of the rows that are shown, in the order in which they are."""

    def __init__(
        self, theme: Theme, parent: QObject | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Show nothing yet. ``clock`` gives seconds."""
        super().__init__(parent)
        self._theme = theme
        self._clock = clock
        self._pile = Pile()
        self._order: list[int] = []
        self._rows: dict[int, int] = {}
        self._state = ""
        self._needle = ""
        self._label: str | None = None
        self._sort: tuple[int, bool] | None = None
        self._stale = False
        self._fields: list[str] = []
        self._not_before = 0.0
        self._headers = {
            Column.STATE: self.tr("State"),
            Column.NAME: self.tr("Name"),
            Column.TOKENS: self.tr("Tokens"),
            Column.PROGRESS: self.tr("Progress"),
            Column.SECONDS: self.tr("Seconds"),
            Column.LABEL: self.tr("Label"),
            Column.SCORE: self.tr("Score"),
            Column.RESULT: self.tr("Result"),
            Column.WARNING: self.tr("Warning"),
            Column.SIZE: self.tr("Size"),
            Column.ENCODING: self.tr("Encoding"),
            Column.COVERAGE: self.tr("Coverage"),
            Column.UNKNOWN: self.tr("Unknown"),
            Column.WORKER: self.tr("Worker"),
        }
        # Names and results have keys of their own in the pile.
        self._keys: dict[int, Callable[[DocumentRow], Any]] = {
            Column.STATE: lambda row: _STATE_ORDER.get(row.state, len(_STATE_ORDER)),
            Column.TOKENS: lambda row: row.tokens,
            Column.PROGRESS: lambda row: row.progress,
            Column.SECONDS: lambda row: row.seconds,
            Column.LABEL: lambda row: (row.score is None, not row.label, row.label.casefold()),
            Column.SCORE: lambda row: -math.inf if row.score is None else row.score,
            Column.WARNING: lambda row: (not _warned(row), _warned(row)),
            Column.SIZE: lambda row: row.size,
            Column.ENCODING: lambda row: row.encoding,
            Column.COVERAGE: lambda row: row.coverage,
            Column.UNKNOWN: lambda row: row.unknown_share,
            Column.WORKER: lambda row: row.worker,
        }

    # ------------------------------------------------------------------------------------------------------ what is shown
    def set_pile(self, pile: Pile) -> None:
        """Show another pile with the same filter and sorting."""
        self._take_fields(pile)
        self.beginResetModel()
        self._pile = pile
        self._take(self._wanted())
        self.endResetModel()

    def set_state(self, state: str) -> None:
        """Show only documents in ``state``; "" shows all."""
        if state != self._state:
            self._state = state
            self._rebuild()

    def set_needle(self, needle: str) -> None:
        """Show only documents whose name or result holds ``needle``, whatever the case."""
        if needle != self._needle:
            self._needle = needle
            self._rebuild()

    def set_label(self, label: str | None) -> None:
        """Show only documents with ``label``, "" for those of which the task is unsure; None shows all."""
        if label != self._label:
            self._label = label
            self._rebuild()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; -1 gives back the order of the pile."""
        known = column in (*self._keys, Column.NAME, Column.RESULT) or bool(self.field_of(column))
        self._sort = (column, order == Qt.SortOrder.DescendingOrder) if known else None
        self._rebuild()

    @property
    def fields(self) -> list[str]:
        """The fields that have a column, which lie behind those of ``Column``."""
        return self._fields

    def field_of(self, column: int) -> str:
        """Return the field that a column shows, "" for the columns that every pile has."""
        return self._fields[column - len(Column)] if len(Column) <= column < self.columnCount() else ""

    def _take_fields(self, pile: Pile) -> None:
        wanted, had = list(pile.fields), self._fields
        same = next(
            (at for at, (a, b) in enumerate(zip(wanted, had, strict=False)) if a != b), min(len(wanted), len(had))
        )
        first = len(Column) + same
        if len(had) > same:
            self.beginRemoveColumns(QModelIndex(), first, len(Column) + len(had) - 1)
            self._fields = wanted[:same]
            self.endRemoveColumns()
        if len(wanted) > same:
            self.beginInsertColumns(QModelIndex(), first, len(Column) + len(wanted) - 1)
            self._fields = wanted
            self.endInsertColumns()

    @property
    def filtered(self) -> bool:
        """Whether a state, a label or a search hides rows."""
        return bool(self._state or self._needle.strip()) or self._label is not None

    def record(self, row: int) -> DocumentRow | None:
        """Return the document of a row that is shown."""
        return self._pile.records.get(self._order[row]) if 0 <= row < len(self._order) else None

    def row_of(self, document: int) -> int:
        """Return the row of a document, -1 when it is not shown."""
        return self._rows.get(document, -1)

    def number_at(self, row: int) -> int:
        """Return the id of the document in a row, -1 when there is none."""
        return self._order[row] if 0 <= row < len(self._order) else -1

    # ------------------------------------------------------------------------------------------------------------- ticks
    def apply(self, change: Change) -> None:
        """Show what one tick changed in the pile: new rows in one batch, changed ones in one dataChanged."""
        self._take_fields(self._pile)
        if change.rebuilt:
            self._rebuild()
            if self._order:  # a new engine may tell other values for the same ids
                self.dataChanged.emit(self.index(0, 0), self.index(len(self._order) - 1, self.columnCount() - 1))
            return
        if self.filtered or self._sort is not None:
            self._stale = True
        elif change.added:
            begin = len(self._order)
            self.beginInsertRows(QModelIndex(), begin, begin + len(change.added) - 1)
            self._order.extend(change.added)
            self._rows.update((number, begin + at) for at, number in enumerate(change.added))
            self.endInsertRows()
        self.catch_up()
        rows = [self._rows[number] for number in change.updated if number in self._rows]
        if rows:
            self.dataChanged.emit(self.index(min(rows), 0), self.index(max(rows), self.columnCount() - 1))

    def catch_up(self) -> None:
        """Bring a sorted or filtered order up to date, if that is due; called once a tick."""
        self._pile.prepare_search(SEARCHABLE_A_TICK)
        if self._stale and self._clock() >= self._not_before:
            self._rebuild()

    def _wanted(self) -> list[int]:
        numbers = self._pile.select(self._state, self._needle, self._label)
        if self._sort is None:
            return numbers
        column, descending = self._sort
        if column == Column.NAME:
            return self._pile.sorted_by_name(numbers, descending=descending)
        if column == Column.RESULT:
            return self._pile.sorted_by_result(numbers, descending=descending)
        key = field_key(self.field_of(column)) if column not in self._keys else self._keys[column]
        return self._pile.sorted(numbers, key, descending=descending)

    def _take(self, order: list[int]) -> None:
        self._order = order
        self._rows = dict(zip(order, range(len(order)), strict=True))

    def _rebuild(self) -> None:
        """Make the order anew and tell the difference: rows gone, rows moved, rows new; or a reset when it is large."""
        begin = self._clock()
        self._stale = False
        wanted = self._wanted()
        if wanted != self._order:
            self._turn_into(wanted)
        self._not_before = self._clock() + (self._clock() - begin) / SHARE

    def _turn_into(self, wanted: list[int]) -> None:
        target = set(wanted)
        if target == self._rows.keys():
            self._reorder(wanted)
            return
        if abs(len(wanted) - len(self._order)) > MANY:
            self.beginResetModel()
            self._take(wanted)
            self.endResetModel()
            return
        gone = _runs([row for row, number in enumerate(self._order) if number not in target])
        new = _runs([row for row, number in enumerate(wanted) if number not in self._rows])
        if len(gone) + len(new) > RUNS:
            self.beginResetModel()
            self._take(wanted)
            self.endResetModel()
            return
        for first, last in reversed(gone):
            self.beginRemoveRows(QModelIndex(), first, last)
            del self._order[first : last + 1]
            self.endRemoveRows()
        staying = [number for number in wanted if number in self._rows]
        if staying != self._order:
            self._reorder(staying)
        for first, last in new:
            self.beginInsertRows(QModelIndex(), first, last)
            self._order[first:first] = wanted[first : last + 1]
            self.endInsertRows()
        self._take(self._order)

    def _reorder(self, order: list[int]) -> None:
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        numbers = [self._order[index.row()] for index in before]
        self._take(order)
        after = [self.index(self._rows[n], i.column()) for n, i in zip(numbers, before, strict=True)]
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    # ---------------------------------------------------------------------------------------------------- Qt's questions
    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own default
        """Return the number of rows that are shown."""
        return 0 if parent.isValid() else len(self._order)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own default
        """Return the number of columns, hidden ones included."""
        return 0 if parent.isValid() else len(Column) + len(self._fields)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the title of a column."""
        if orientation == Qt.Orientation.Horizontal and 0 <= section < self.columnCount():
            if role == Qt.ItemDataRole.DisplayRole:
                return self._title(section)
            if role == Qt.ItemDataRole.TextAlignmentRole:
                return alignment(section)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows; names are escaped here, once for all views."""
        row = self.record(index.row()) if index.isValid() else None
        if row is None:
            return None
        column = index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(row, column)
        if role == Qt.ItemDataRole.DecorationRole:
            if column == Column.STATE:
                return self._theme.state_icon(row.state)
            if column in (Column.RESULT, Column.WARNING) and row.state == "done" and row.reason:
                return self._theme.icon("warning", "warning")
        elif role == Qt.ItemDataRole.ForegroundRole:
            if column == Column.STATE:
                return self._theme.colour(row.state)
            if column != Column.NAME and row.state != "done":
                return self._theme.colour("muted")
        elif role == Qt.ItemDataRole.TextAlignmentRole:
            return alignment(column)
        elif role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(row, column)
        elif role == PROGRESS_ROLE:
            return row.progress, row.state
        elif role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{self._title(column)}: {self._text(row, column)}"
        return None

    def _title(self, column: int) -> str:
        return shown(brief(self.field_of(column), 60)) or self._headers[Column(column)]

    def whole(self, row: int, column: int) -> str:
        """Return the text of a cell, long results uncut, on one line; "" outside of the table."""
        record = self.record(row)
        if record is None:
            return ""
        if column == Column.WARNING:
            return shown(_warned(record))
        return shown(record.summary or record.reason) if column == Column.RESULT else self._text(record, column)

    def _text(self, row: DocumentRow, column: int) -> str:
        if field := self.field_of(column):
            return field_text(row, field)
        match column:
            case Column.STATE:
                return words.engine_text(row.state)
            case Column.NAME:
                return shown(row.name)
            case Column.TOKENS:
                return words.number(row.tokens) if row.tokens >= 0 else ""
            case Column.PROGRESS:
                return words.percent(row.progress)
            case Column.SECONDS:
                return words.seconds(row.seconds) if row.seconds >= 0.005 else ""
            case Column.LABEL:
                return "" if row.score is None else shown(row.label) or self.tr("unsure")
            case Column.SCORE:
                return "" if row.score is None else words.decimals(row.score, 2)
            case Column.RESULT:
                return shown(brief(row.summary or row.reason))
            case Column.WARNING:
                return shown(brief(_warned(row)))
            case Column.SIZE:
                return words.data_size(row.size)
            case Column.ENCODING:
                sure = row.confidence >= 1 or not row.encoding
                return row.encoding if sure else f"{row.encoding} ? {words.percent(row.confidence)}"
            case Column.COVERAGE:
                return words.share(row.coverage) if row.state in ENDED else ""
            case Column.UNKNOWN:
                return words.percent(row.unknown_share) if row.tokens >= 0 else ""
            case _:
                return words.number(row.worker) if row.worker >= 0 else ""

    def _tip(self, row: DocumentRow, column: int) -> str:
        """Return the full path, or for the result why it is so; as plain text, whatever the name looks like."""
        if column == Column.WARNING:
            tip = for_label(shown(_warned(row)))
        elif column == Column.RESULT:
            tip = "\n".join(for_label(shown(part)) for part in (row.summary, row.reason) if part)
        elif column in (Column.STATE, Column.NAME):
            tip = for_label(shown(row.path))
        else:
            return ""
        # Qt guesses whether a tooltip is rich text, so it gets one that is, with the untrusted part escaped in it.
        escaped = tip.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", "<br>")
        return f"<span>{escaped}</span>" if tip else ""


def _warned(row: DocumentRow) -> str:
    """Return what a row warns about: why it failed or was skipped, what to know of its result, or how unsure that is."""
    return row.reason or (row.summary if row.score is not None and not row.label else "")


def _runs(rows: list[int]) -> list[tuple[int, int]]:
    """Return ascending ``rows`` as inclusive runs."""
    if not rows:
        return []
    cuts = [at for at, (a, b) in enumerate(pairwise(rows), 1) if b != a + 1]
    begins, ends = [0, *cuts], [*cuts, len(rows)]
    return [(rows[a], rows[b - 1]) for a, b in zip(begins, ends, strict=True)]
