"""Which columns of the pile are shown and how wide they are: by what its results have, by the room, and by choice."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QByteArray, QModelIndex, Qt
from PySide6.QtWidgets import QHeaderView, QMenu, QTableView

from gui.tables.pile_column import OPTIONAL, RATED, Column

WIDTHS = {
    Column.STATE: 104,
    Column.TOKENS: 76,
    Column.PROGRESS: 96,
    Column.SECONDS: 80,
    Column.LABEL: 170,
    Column.SCORE: 68,
    Column.SIZE: 84,
    Column.ENCODING: 110,
    Column.COVERAGE: 88,
    Column.UNKNOWN: 88,
    Column.WORKER: 64,
}
"""First widths in logical pixels."""

FIELD_WIDTH = 130
"""First width of the column of a field."""

_LAST, _LAST_RATED = 160, 240
"""Logical pixels of the result, and of the warning in its place, below which other columns make room for it."""


class PileColumns:
    """The header of the pile's view. Results with labels have a column for each of their parts; others have one for all."""

    def __init__(self, view: QTableView) -> None:
        """Manage the columns of ``view``."""
        self._view, self._header = view, view.horizontalHeader()
        self._rated = False
        self._fields = 0
        self._plain: QByteArray | None = None
        """The header without the columns of fields, while there are some: those are not remembered."""
        self._room = 0
        self._tucked: set[Column] = set()
        self._fixed: set[Column] = set()
        model = view.model()
        model.columnsAboutToBeInserted.connect(self._remember)
        model.columnsInserted.connect(self._arrange)
        model.columnsRemoved.connect(self._forget)

    def reset(self) -> None:
        """Give the columns their first widths and order."""
        header = self._header
        for column in Column:
            header.moveSection(header.visualIndex(column), column)
            header.setSectionHidden(column, column in OPTIONAL)
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Interactive)
            if column in WIDTHS:
                header.resizeSection(column, WIDTHS[column])
        width = round((self._view.window().width() - 300) * 0.25)
        header.resizeSection(Column.NAME, min(300, max(220, width)))
        self._tucked.clear()
        self._fixed.clear()
        for column in (Column.RESULT, Column.WARNING):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        self._choose()
        self.fit()

    def state(self) -> QByteArray:
        """Return the widths, order and visibility of the columns, those included that a narrow window has no room for."""
        for column in self._tucked:
            self._header.setSectionHidden(column, False)
        self._tucked.clear()
        return self._header.saveState() if self._plain is None else self._plain

    def restore(self, state: QByteArray) -> None:
        """Take what ``state`` returned earlier; nothing that cannot be read."""
        if self._header.restoreState(state):
            self._header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
            self._tucked.clear()  # they are shown again, as they were when they were remembered
        self._choose()
        self.fit()

    def rate(self, *, rated: bool, fields: int = 0) -> None:
        """Show label, score and warning in place of the result, if the results of the pile have them.

        Results with ``fields`` have a column for each of those, and a warning, in place of the result.
        """
        if (rated, fields) != (self._rated, self._fields):
            self._rated, self._fields = rated, fields
            self._choose()
            self.fit()

    def _remember(self) -> None:
        """Keep the header as it is now, before columns of fields come to it."""
        if self._plain is None:
            self._plain = self._header.saveState()

    def _arrange(self, _parent: QModelIndex, first: int, last: int) -> None:
        """Put new columns of fields before the result."""
        header = self._header
        for column in range(first, last + 1):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Interactive)
            header.resizeSection(column, FIELD_WIDTH)
            header.moveSection(header.visualIndex(column), header.visualIndex(Column.RESULT))

    def _forget(self) -> None:
        """Take note that columns of fields went; once there are none, the header is remembered again."""
        if self._view.model().columnCount() == len(Column):
            self._plain = None

    def _choose(self) -> None:
        """Show the columns that go with the results, but for those that somebody chose to see or not."""
        for column, wanted in (
            *((column, self._rated) for column in RATED),
            (Column.WARNING, self._rated or self._fields > 0),
            (Column.RESULT, not (self._rated or self._fields)),
        ):
            if column not in self._fixed:
                self._header.setSectionHidden(column, not wanted)

    def fit(self, room: int = 0) -> None:
        """Give the result its room, of the ``room`` pixels that there are: what came out is worth more than how long it took.

        Columns that are tucked away come back as soon as there is room; what the user shows or hides stays so.
        """
        header = self._header
        last = (Column.RESULT, Column.WARNING)
        shown = [c for c in Column if c not in last and (not header.isSectionHidden(c) or c in self._tucked)]
        self._room = room or self._room
        left = self._room - sum(header.sectionSize(c) or WIDTHS[c] for c in shown)
        left -= sum(header.sectionSize(c) for c in range(len(Column), header.count()))
        for column in (Column.SECONDS, Column.PROGRESS, Column.TOKENS):
            if column not in shown or column in self._fixed:
                continue
            split = self._rated or self._fields > 0
            tuck = left < (_LAST_RATED if split else _LAST) and (split or column != Column.TOKENS)
            if tuck:
                left += WIDTHS[column]
            if tuck != (column in self._tucked):
                header.setSectionHidden(column, tuck)
                (self._tucked.add if tuck else self._tucked.discard)(column)

    def fill(self, menu: QMenu) -> None:
        """Offer to show and hide each column."""
        for column in range(self._header.count()):
            action = menu.addAction(self._view.model().headerData(column, Qt.Orientation.Horizontal))
            action.setCheckable(True)
            action.setChecked(not self._header.isSectionHidden(column))
            action.setEnabled(column != Column.NAME)
            action.toggled.connect(self._shower(column))

    def _shower(self, column: int) -> Callable[[bool], None]:
        def show(shown: bool) -> None:
            if column < len(Column):
                self._tucked.discard(Column(column))
                self._fixed.add(Column(column))
            self._header.setSectionHidden(column, not shown)

        return show
