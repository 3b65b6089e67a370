"""The list of jobs, past and present, and what can be done with each."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QModelIndex, QPoint, QSize, Qt, QTimer
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QGridLayout,
    QHeaderView,
    QMenu,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from engine.api import JobFacts
from gui.job_commands import JobCommands
from gui.tables.jobs_table import JobColumn, JobsTable
from gui.theme import Theme
from gui.widgets.labels import wrapped
from gui.words import BUSY

PERIOD = 1000
"""Milliseconds between two looks at how far the jobs are (law 1: text at 1-2 Hz)."""

_WIDTHS = {
    JobColumn.STATE: 104,
    JobColumn.TASK: 84,
    JobColumn.DOCUMENTS: 190,
    JobColumn.CREATED: 124,
    JobColumn.PRIORITY: 68,
    JobColumn.WATCHES: 150,
}
_COLUMNS = 5
"""Buttons in a row."""


class JobsDialog(QDialog):
    """A window beside the main one; it can stay open."""

    def __init__(self, commands: JobCommands, theme: Theme, parent: QWidget | None = None) -> None:
        """List the jobs that ``commands`` works on."""
        super().__init__(parent)
        self._commands, self._theme = commands, theme
        self.setWindowTitle(self.tr("Jobs"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(940, 460)
        self.table = JobsTable(theme, self)
        self.view = self._make_view()
        self._note = wrapped(
            self.tr(
                "All piles, past and present. Those that are paused or run come back by themselves at the next start."
            ),
            look="muted",
        )
        c = commands
        self.actions_: dict[str, QAction] = {}
        for name, text, shortcut, icon, does in (
            ("open", self.tr("&Open results"), "Return", "result", c.open),
            ("resume", self.tr("Resu&me"), "F6", "start", c.resume),
            ("again", self.tr("Run &again…"), "F5", "retry", c.run_again),
            ("duplicate", self.tr("&Duplicate and change"), "Ctrl+D", "duplicate", c.duplicate),
            ("export", self.tr("&Export…"), "Ctrl+E", "export", c.export_results),
            ("rename", self.tr("Re&name…"), "F2", "rename", lambda job: c.rename(job, self)),
            ("sooner", self.tr("Run &sooner"), "Ctrl+Up", "sooner", lambda job: c.job_list.shift(job, 1)),
            ("later", self.tr("Run &later"), "Ctrl+Down", "later", lambda job: c.job_list.shift(job, -1)),
            ("delete", self.tr("Dele&te"), "Del", "remove", c.delete),
        ):
            self._add(name, text, shortcut, icon, lambda does=does: self._on_chosen(does))
        self._add("undo", self.tr("&Undo delete"), "Ctrl+Z", "undo", c.job_list.undo_delete)
        grid = QGridLayout()
        grid.setSpacing(6)
        self.buttons: dict[str, QPushButton] = {}
        for at, (name, action) in enumerate(self.actions_.items()):
            button = self.buttons[name] = QPushButton(action.text())
            button.setAutoDefault(False)
            button.setToolTip(action.toolTip())
            button.clicked.connect(action.trigger)
            action.enabledChanged.connect(button.setEnabled)
            grid.addWidget(button, at // _COLUMNS, at % _COLUMNS)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 16)
        column.setSpacing(8)
        column.addWidget(self._note)
        column.addWidget(self.view, 1)
        column.addLayout(grid)
        timer = QTimer(self)
        timer.setInterval(PERIOD)
        timer.timeout.connect(self.refresh)
        timer.start()
        theme.changed.connect(self._dress)
        commands.job_list.changed.connect(self.refresh)
        self._dress()
        self.refresh()
        commands.job_list.refresh()
        self.view.selectRow(max(0, self.table.row_of(commands.current)))
        self.view.setFocus()

    def _make_view(self) -> QTableView:
        view = QTableView()
        view.setModel(self.table)
        view.setAccessibleName(self.tr("Jobs"))
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        view.setAlternatingRowColors(True)
        view.setShowGrid(False)
        view.setWordWrap(False)
        view.setTabKeyNavigation(False)
        view.setIconSize(QSize(16, 16))
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.customContextMenuRequested.connect(self._menu)
        view.doubleClicked.connect(lambda _index: self.actions_["open"].trigger())
        rows = view.verticalHeader()
        rows.hide()
        rows.setDefaultSectionSize(max(28, view.fontMetrics().height() + 12))
        header = view.horizontalHeader()
        header.setHighlightSections(False)
        for column, width in _WIDTHS.items():
            header.resizeSection(column, max(width, header.sectionSizeHint(column)))
        header.setSectionResizeMode(JobColumn.NAME, QHeaderView.ResizeMode.Stretch)
        view.selectionModel().currentRowChanged.connect(self._moved)
        return view

    def _add(self, name: str, text: str, shortcut: str, icon: str, does: Callable[[], None]) -> None:
        action = self.actions_[name] = QAction(text, self)
        action.setObjectName(icon)
        action.setShortcut(QKeySequence(shortcut))
        keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
        action.setToolTip(self.tr("{what} ({shortcut})").format(what=text.replace("&", ""), shortcut=keys))
        action.triggered.connect(lambda _checked=False: does())
        self.addAction(action)

    def _dress(self) -> None:
        for name, action in self.actions_.items():
            icon = self._theme.icon(action.objectName())
            action.setIcon(icon)
            self.buttons[name].setIcon(icon)
        if self.table.rowCount():
            last = self.table.index(self.table.rowCount() - 1, len(JobColumn) - 1)
            self.table.dataChanged.emit(self.table.index(0, 0), last)

    @property
    def chosen(self) -> JobFacts | None:
        """The job under the cursor."""
        return self.table.job(self.view.currentIndex().row())

    def _on_chosen(self, does: Callable[[str], None]) -> None:
        facts = self.chosen
        if facts is not None:
            does(facts.id)

    def refresh(self) -> None:
        """Show how the jobs are now; the cursor stays on its job."""
        job_list = self._commands.job_list
        before = self.chosen
        jobs = job_list.jobs
        watched = {facts.id: folder for facts in jobs if (folder := job_list.watched(facts.id))}
        self.table.set_jobs(jobs, watched)
        self.view.setColumnHidden(JobColumn.WATCHES, not watched)
        row = self.table.row_of(before.id) if before is not None else -1
        if row < 0 and jobs:
            row = min(max(0, self.view.currentIndex().row()), len(jobs) - 1)
        if row >= 0 and row != self.view.currentIndex().row():
            self.view.selectRow(row)
        self._allow()

    def _moved(self, current: QModelIndex, previous: QModelIndex) -> None:
        del current, previous
        self._allow()

    def _allow(self) -> None:
        """Allow what makes sense for the job under the cursor."""
        facts, job_list = self.chosen, self._commands.job_list
        there = facts is not None
        busy = facts is not None and facts.status in BUSY
        for name, allowed in (
            ("open", there),
            ("resume", facts is not None and facts.status in ("paused", "pausing")),
            ("again", facts is not None and not busy and bool(sum(facts.counts.values()))),
            ("duplicate", facts is not None and bool(sum(facts.counts.values()))),
            ("export", facts is not None and bool(facts.task)),
            ("rename", there),
            ("sooner", facts is not None and facts.open),
            ("later", facts is not None and facts.open),
            ("delete", self._commands.may_change(facts)),
            ("undo", bool(job_list.deleted)),
        ):
            self.actions_[name].setEnabled(allowed)
            self.buttons[name].setEnabled(allowed)

    def _menu(self, at: QPoint) -> None:
        if self.view.indexAt(at).isValid():
            menu = QMenu(self)
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            menu.addActions(list(self.actions_.values()))
            menu.popup(self.view.viewport().mapToGlobal(at))
