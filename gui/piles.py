"""The piles that are open in the window, and which of them is shown."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from engine.api import JobFacts, Snapshot
from gui.job import Job, job_of
from gui.pile import Change


class Piles(QObject):
    """Jobs by id. ``changed``: some of them; ``current_changed``: another one is shown; ``finished``: one has ended."""

    changed = Signal()
    current_changed = Signal()
    rows_changed = Signal(str, object)
    finished = Signal(str)

    def __init__(self, parent: QObject) -> None:
        """Start with none."""
        super().__init__(parent)
        self.jobs: dict[str, Job] = {}
        self.current = ""
        self._preferred = ""
        self._away: set[str] = set()

    @property
    def job(self) -> Job | None:
        """The pile that is shown."""
        return self.jobs.get(self.current)

    def select(self, job: str) -> None:
        """Show another pile."""
        self._preferred = ""
        if job != self.current:
            self.current = job
            self.current_changed.emit()

    def prefer(self, job: str) -> None:
        """Show a job as soon as the engine tells of it, unless the user chooses another one first."""
        self._preferred = job

    def add(self, job: Job) -> None:
        """Take in a new pile and show it."""
        self.jobs[job.id] = job
        self.select(job.id)
        self.changed.emit()

    def adopt(self, facts: JobFacts, *, select: bool) -> None:
        """Take in a job that the engine has opened; its rows come with the snapshots."""
        self._away.discard(facts.id)
        if facts.id not in self.jobs:
            self.jobs[facts.id] = job_of(facts)
        if select:
            self.select(facts.id)
        self.changed.emit()

    def forget(self, job: str) -> None:
        """Show a job no more; the engine has put it away."""
        self._away.add(job)
        if self.jobs.pop(job, None) is not None and job == self.current:
            self.select(next(reversed(self.jobs), ""))
        self.changed.emit()

    def merge(self, snapshot: Snapshot, changes: dict[str, Change]) -> None:
        """Take the jobs and rows of a snapshot, and note in ``changes`` which rows are others now, by job."""
        for state in snapshot.jobs:
            if state.id in self._away:
                continue
            job = self.jobs.get(state.id)
            if job is None:
                job = self.jobs[state.id] = Job(state.id, state.name, state)
                if not self.current or state.id == self._preferred:
                    self.select(state.id)
            job.state, job.name = state, state.name
        for rows in snapshot.rows:
            job = self.jobs.get(rows.job)
            if job is not None:
                job.pile.apply(rows, changes.setdefault(rows.job, Change()))

    def announce(self, changes: dict[str, Change]) -> None:
        """Tell what merges have changed."""
        for job, change in changes.items():
            if change:
                self.rows_changed.emit(job, change)
        self.changed.emit()
        self._announce_finished()

    def _announce_finished(self) -> None:
        for job in self.jobs.values():
            if job.at_work:
                job.settled = False
            elif job.state.status in ("finished", "cancelled") and not job.settled:
                job.settled = True
                if job.state.status == "finished":
                    self.finished.emit(job.id)
