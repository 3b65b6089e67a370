"""The pile: a row a document, filters by state, a search, and what to do when it is empty."""

from __future__ import annotations

from PySide6.QtCore import QItemSelection, QItemSelectionModel, QModelIndex, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QGuiApplication, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMenu,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.panels.pile_columns import PileColumns
from gui.pile import Change, Pile
from gui.session import Session
from gui.tables.pile_copy import selected_rows
from gui.tables.pile_delegate import NameDelegate, ProgressDelegate
from gui.tables.pile_table import Column, PileTable
from gui.theme import Theme
from gui.widgets.chips import Chips
from gui.widgets.label_bars import LabelBars


class PilePanel(QWidget):
    """Shows the current pile. ``document_chosen`` tells the id under the cursor, -1 for none."""

    document_chosen = Signal(int)
    selection_changed = Signal()

    def __init__(self, session: Session, theme: Theme, welcome: QWidget, parent: QWidget | None = None) -> None:
        """Show the piles of ``session``, and ``welcome`` while there are no documents."""
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._row_actions: list[QAction] = []
        self._kept: tuple[set[int], int, int] | None = None
        self._chosen = -1
        self.table = PileTable(theme, self)
        self.chips = Chips(theme)
        self.chips.chosen.connect(self._filter)
        self.labels = LabelBars(theme)
        self.labels.chosen.connect(self._pick)
        self.search = QLineEdit()
        self.search.setPlaceholderText(self.tr("Search"))
        self.search.setToolTip(self.tr("Search names and results (Ctrl+F)"))
        self.search.setAccessibleName(self.tr("Search names and results"))
        self.search.setClearButtonEnabled(True)
        self.search.setProperty("look", "field")
        self.search.setAcceptDrops(False)
        self._search_icon = self.search.addAction(
            theme.icon("search", "muted"), QLineEdit.ActionPosition.LeadingPosition
        )
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(150)
        self._typing.timeout.connect(self._find)
        self.search.textChanged.connect(lambda _text: self._typing.start())
        self.view = self._make_view(theme)
        self.columns = PileColumns(self.view)
        self.columns.reset()
        self._nothing = QLabel(self.tr("No document matches the filter."))
        self._nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._nothing.setProperty("look", "muted")
        self._stack = QStackedWidget()
        for page in (welcome, self.view, self._nothing):
            self._stack.addWidget(page)
        top = QHBoxLayout()
        top.setSpacing(8)
        top.addWidget(self.chips, 1)
        self.share = QLabel()
        self.share.setProperty("look", "muted")
        self.share.hide()
        top.addWidget(self.share)
        top.addWidget(self.search, 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 4)
        column.setSpacing(8)
        column.addLayout(top)
        column.addWidget(self.labels)
        column.addWidget(self._stack, 1)
        session.current_changed.connect(self._switch)
        session.rows_changed.connect(self._take)
        theme.changed.connect(self._dress)
        self._show_page()

    def _make_view(self, theme: Theme) -> QTableView:
        view = QTableView()
        view.setModel(self.table)
        view.setAccessibleName(self.tr("Pile of documents"))
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        view.setAlternatingRowColors(True)
        view.setShowGrid(False)
        view.setWordWrap(False)
        view.setTabKeyNavigation(False)
        view.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.customContextMenuRequested.connect(self._row_menu)
        view.setItemDelegateForColumn(Column.PROGRESS, ProgressDelegate(theme, view))
        view.setItemDelegateForColumn(Column.NAME, NameDelegate(view))
        rows = view.verticalHeader()
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(max(28, view.fontMetrics().height() + 12))
        header = view.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionsMovable(True)
        header.setStretchLastSection(False)
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.customContextMenuRequested.connect(self._column_menu)
        header.setSortIndicatorClearable(True)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        view.setSortingEnabled(True)
        selection = view.selectionModel()
        selection.currentRowChanged.connect(self._current_changed)
        selection.selectionChanged.connect(lambda *_: self.selection_changed.emit())
        self.table.modelAboutToBeReset.connect(self._keep)
        self.table.modelReset.connect(self._restore)
        return view

    def reset_columns(self) -> None:
        """Give the columns their first widths and order."""
        self.columns.reset()

    def set_row_actions(self, actions: list[QAction]) -> None:
        """Offer these in the context menu of a row."""
        self._row_actions = actions

    def _dress(self) -> None:
        self._search_icon.setIcon(self._theme.icon("search", "muted"))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give the search box what the filters leave."""
        super().resizeEvent(event)
        self._fit_search()
        self.columns.fit(self.width() - 16)

    def _fit_search(self) -> None:
        left = self.width() - self.chips.sizeHint().width() - 32
        self.search.setFixedWidth(min(240, max(130, left)))

    # --------------------------------------------------------------------------------------------------------- documents
    @property
    def selected(self) -> list[int]:
        """The ids of the selected documents."""
        return [self.table.number_at(index.row()) for index in self.view.selectionModel().selectedRows()]

    def copy_rows(self) -> None:
        """Put the selected rows onto the clipboard as a table."""
        QGuiApplication.clipboard().setText(selected_rows(self.view, self.table))

    def choose(self, document: int) -> None:
        """Put the cursor on a document, if it is shown."""
        row = self.table.row_of(document)
        if row >= 0:
            self.view.selectRow(row)

    def _switch(self) -> None:
        job = self._session.job
        self._kept = (set(), -1, 0)
        self.table.set_pile(job.pile if job is not None else Pile())
        self.counts()
        self._show_page()

    def _take(self, job: str, change: Change) -> None:
        if job == self._session.current:
            self.table.apply(change)
            self._show_page()

    def tick(self) -> None:
        """Bring a sorted or filtered table up to date."""
        self.table.catch_up()
        self._show_page()

    def counts(self) -> None:
        """Show the counts of the current pile."""
        job = self._session.job
        self.chips.set_counts(job.state.counts if job is not None else {})
        labels = job.pile.labels if job is not None else {}
        self.columns.rate(rated=bool(labels), fields=len(self.table.fields))
        self.labels.set_counts(labels)
        self._fit_search()

    def _show_page(self) -> None:
        job = self._session.job
        empty = job is None or not len(job.pile)
        page = 0 if empty else 2 if not self.table.rowCount() and self.table.filtered else 1
        self.share.setVisible(self.table.filtered and not empty)
        if not self.share.isHidden():
            shown, there = words.number(self.table.rowCount()), words.number(len(job.pile) if job is not None else 0)
            self.share.setText(self.tr("{shown} of {all}").format(shown=shown, all=there))
        if self._stack.currentIndex() != page:
            self._stack.setCurrentIndex(page)

    # ------------------------------------------------------------------------------------------------- filter and search
    def _filter(self, state: str) -> None:
        self.table.set_state(state)
        self._show_page()

    def _pick(self, label: str | None) -> None:
        self.table.set_label(label)
        self._show_page()

    def _find(self) -> None:
        self.table.set_needle(self.search.text())
        self._show_page()

    def go_to_search(self) -> None:
        """Go to the search box."""
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    # ---------------------------------------------------------------------------------------------------------- selection
    def _keep(self) -> None:
        """Remember the selection by document over a reset."""
        if self._kept is None:
            at = self.table.number_at(self.view.currentIndex().row())
            self._kept = (set(self.selected), at, self.view.verticalScrollBar().value())

    def _restore(self) -> None:
        numbers, at, scroll = self._kept or (set(), -1, 0)
        self._kept = None
        selection = QItemSelection()
        for number in numbers:
            row = self.table.row_of(number)
            if row >= 0:
                selection.select(self.table.index(row, 0), self.table.index(row, len(Column) - 1))
        model = self.view.selectionModel()
        model.select(selection, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        row = self.table.row_of(at)
        if row >= 0:
            model.setCurrentIndex(self.table.index(row, Column.NAME), QItemSelectionModel.SelectionFlag.NoUpdate)
            self.view.verticalScrollBar().setValue(scroll)
        else:
            self._tell_chosen(-1)

    def _current_changed(self, current: QModelIndex, previous: QModelIndex) -> None:
        del previous
        if self._kept is None:
            self._tell_chosen(self.table.number_at(current.row()))

    def _tell_chosen(self, number: int) -> None:
        if number != self._chosen:
            self._chosen = number
            self.document_chosen.emit(number)

    # -------------------------------------------------------------------------------------------------------------- menus
    def _row_menu(self, at: QPoint) -> None:
        if self.view.indexAt(at).isValid():
            menu = QMenu(self)
            menu.addActions(self._row_actions)
            self._pop_up(menu, self.view.viewport().mapToGlobal(at))

    def _column_menu(self, at: QPoint) -> None:
        menu = QMenu(self)
        self.columns.fill(menu)
        self._pop_up(menu, self.view.horizontalHeader().mapToGlobal(at))

    def _pop_up(self, menu: QMenu, where: QPoint) -> None:
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(where)
