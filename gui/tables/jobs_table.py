"""The jobs as a table: one row a job, newest first."""

from __future__ import annotations

import html
from enum import IntEnum
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QDateTime, QLocale, QModelIndex, QObject, QPersistentModelIndex, Qt

from engine.api import JobFacts
from gui import words
from gui.escape import shown
from gui.theme import Theme

Index = QModelIndex | QPersistentModelIndex


class JobColumn(IntEnum):
    """The columns of the table."""

    NAME = 0
    STATE = 1
    TASK = 2
    DOCUMENTS = 3
    CREATED = 4
    PRIORITY = 5
    WATCHES = 6


_LOOK = {
    "ready": ("pile", "muted"),
    "queued": ("waiting", "accent"),
    "running": ("running", "accent"),
    "pausing": ("pause", "warning"),
    "paused": ("pause", "warning"),
    "stopping": ("stop", "muted"),
    "finished": ("done", "done"),
    "cancelled": ("cancelled", "muted"),
}
"""Icon and colour of a job's status."""


class JobsTable(QAbstractTableModel):
    """Shows what it was given last; rows keep their selection while their ids stay the same."""

    def __init__(self, theme: Theme, parent: QObject | None = None) -> None:
        """Show nothing yet."""
        super().__init__(parent)
        self._theme = theme
        self._jobs: list[JobFacts] = []
        self._watched: dict[str, str] = {}
        self._headers = {
            JobColumn.NAME: self.tr("Name"),
            JobColumn.STATE: self.tr("State"),
            JobColumn.TASK: self.tr("Task"),
            JobColumn.DOCUMENTS: self.tr("Documents"),
            JobColumn.CREATED: self.tr("Made"),
            JobColumn.PRIORITY: self.tr("Priority"),
            JobColumn.WATCHES: self.tr("Watched folder"),
        }

    def set_jobs(self, jobs: list[JobFacts], watched: dict[str, str]) -> None:
        """Show ``jobs``, with the folders that are watched for them by id."""
        same = [job.id for job in jobs] == [job.id for job in self._jobs]
        if same and jobs == self._jobs and watched == self._watched:
            return
        if same:
            self._jobs, self._watched = list(jobs), dict(watched)
            if jobs:
                self.dataChanged.emit(self.index(0, 0), self.index(len(jobs) - 1, len(JobColumn) - 1))
            return
        self.beginResetModel()
        self._jobs, self._watched = list(jobs), dict(watched)
        self.endResetModel()

    def job(self, row: int) -> JobFacts | None:
        """Return the job of a row, None outside of the table."""
        return self._jobs[row] if 0 <= row < len(self._jobs) else None

    def row_of(self, job: str) -> int:
        """Return the row of a job, -1 when it is not shown."""
        return next((row for row, facts in enumerate(self._jobs) if facts.id == job), -1)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own default
        """Return the number of jobs."""
        return 0 if parent.isValid() else len(self._jobs)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own default
        """Return the number of columns."""
        return 0 if parent.isValid() else len(JobColumn)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the title of a column."""
        if orientation == Qt.Orientation.Horizontal and 0 <= section < len(JobColumn):
            if role == Qt.ItemDataRole.DisplayRole:
                return self._headers[JobColumn(section)]
            if role == Qt.ItemDataRole.TextAlignmentRole:
                return Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        facts = self.job(index.row()) if index.isValid() else None
        if facts is None:
            return None
        column = index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(facts, column)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{self._headers[JobColumn(column)]}: {self._text(facts, column)}"
        if role == Qt.ItemDataRole.ToolTipRole and column in (JobColumn.NAME, JobColumn.WATCHES):
            # Qt guesses whether a tooltip is rich text, so it gets one that is, with the untrusted part escaped in it.
            return f"<span>{html.escape(self._text(facts, column))}</span>"
        icon, colour = _LOOK.get(facts.status, ("pile", "muted"))
        if role == Qt.ItemDataRole.DecorationRole and column == JobColumn.STATE:
            return self._theme.icon(icon, colour)
        if role == Qt.ItemDataRole.ForegroundRole and column == JobColumn.STATE:
            return self._theme.colour(colour)
        return None

    def _text(self, facts: JobFacts, column: int) -> str:
        match column:
            case JobColumn.NAME:
                return shown(facts.name)
            case JobColumn.STATE:
                return words.engine_text(facts.status)
            case JobColumn.TASK:
                return words.engine_text(facts.task)
            case JobColumn.DOCUMENTS:
                return self._documents(facts.counts)
            case JobColumn.CREATED:
                if not facts.created:
                    return self.tr("now")
                made = QDateTime.fromSecsSinceEpoch(int(facts.created))
                return QLocale().toString(made, QLocale.FormatType.ShortFormat)
            case JobColumn.PRIORITY:
                return f"{facts.priority:+d}" if facts.priority else ""
            case _:
                return shown(self._watched.get(facts.id, ""))

    def _documents(self, counts: dict[str, int]) -> str:
        """Return ``812 of 1,000 done, 3 failed``."""
        everything = sum(counts.values())
        said = [
            self.tr("{done} of {all} done").format(
                done=words.number(counts.get("done", 0)), all=words.number(everything)
            )
        ]
        for state in ("failed", "quarantined", "offline"):
            if counts.get(state, 0):
                said.append(f"{words.number(counts[state])} {words.engine_text(state)}")
        return ", ".join(said)
