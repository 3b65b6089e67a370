"""All jobs of the journal, open in the window or not, and what can be done to a job as a whole."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from PySide6.QtCore import QObject, Signal

from engine.api import (
    DeleteJob,
    DuplicateJob,
    JobFacts,
    ListJobs,
    PutAway,
    RenameJob,
    Reply,
    RestoreJob,
    SetPriority,
    ShowJob,
    WatchFolder,
    restore,
)
from gui.escape import shown
from gui.session import Session

LAST = "pile"
WATCHES = "watched_folders"
"""Keys of the settings: the pile that was shown last, and the folder watched for each pile."""


class JobList(QObject):
    """Knows the jobs by what the engine listed last. ``changed`` comes when that, or the list of deletions, changed.

    ``shown_again`` gives the facts of a job that was opened from here, so that its task can be filled in.
    """

    changed = Signal()
    shown_again = Signal(object)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        """Speak to the engine of ``session``."""
        super().__init__(parent)
        self._session = session
        self._listed: dict[str, JobFacts] = {}
        self.deleted: list[tuple[str, str]] = []
        """Ids and names of the jobs whose deletion can be undone, the last one last."""
        self._watches = {k: v for k, v in session.settings.json(WATCHES, {}).items() if isinstance(v, str)}
        self._first = True
        session.hello.connect(self._welcome)
        session.current_changed.connect(self._remember)

    # ----------------------------------------------------------------------------------------------------- what there is
    @property
    def jobs(self) -> list[JobFacts]:
        """All jobs, newest first, those that are open as they are now."""
        found = dict(self._listed)
        for job in self._session.jobs.values():
            state = job.state
            before = found.get(job.id) or JobFacts(job.id, job.name, 0.0, state.task)
            found[job.id] = replace(
                before,
                name=job.name,
                task=state.task or before.task,
                status=state.status,
                priority=state.priority,
                counts=dict(state.counts),
                open=True,
            )
        # A pile that was made a moment ago is not listed yet, and is the newest.
        order = sorted(found.values(), key=lambda facts: facts.created or float("inf"))
        return order[::-1]

    def facts(self, job: str) -> JobFacts | None:
        """Return one job, None when there is none of that id."""
        return next((facts for facts in self.jobs if facts.id == job), None)

    def refresh(self) -> None:
        """Ask the engine for the list; ``changed`` follows."""

        def listed(reply: Reply) -> None:
            if reply.ok:
                found = (restore(JobFacts, item) for item in reply.value["jobs"])
                self._listed = {facts.id: facts for facts in found}
                self.changed.emit()

        self._session.client.send(ListJobs, listed)

    def _welcome(self) -> None:
        """After the start, show what was shown last; after each start of the engine, watch folders again."""
        first = self._first
        if first:
            self._first = False
            last = self._session.settings.text(LAST)
            if last and not self._session.current:
                self._session.piles.prefer(last)
                self.show(last, quietly=True)
        else:
            self.deleted.clear()  # the engine removes them for good when it starts
        for job, folder in list(self._watches.items()):
            self._show_and_watch(job, folder, tell=first)
        self.refresh()

    def _remember(self) -> None:
        self._session.settings.set_text(LAST, self._session.current)

    # ------------------------------------------------------------------------------------------------------ what to do
    def _ask(self, kind: Callable[..., Any], then: Callable[[Reply], None] | None = None, **fields: Any) -> None:
        def answered(reply: Reply) -> None:
            if not reply.ok:
                self._session.notice("error", reply.error, "job_list")
            else:
                self._session.stale.emit("job_list")
                if then is not None:
                    then(reply)
            self.refresh()

        self._session.client.send(kind, answered, **fields)

    def show(self, job: str, *, quietly: bool = False) -> None:
        """Open a job in the window; its rows follow. ``quietly`` says nothing if there is no such job."""
        if job in self._session.jobs and not quietly:
            self._session.piles.select(job)
            facts = self.facts(job)
            if facts is not None:
                self.shown_again.emit(facts)
            return

        def answered(reply: Reply) -> None:
            if reply.ok:
                facts = restore(JobFacts, reply.value["job"])
                self._session.piles.adopt(facts, select=not quietly or not self._session.current)
                if not quietly:
                    self.shown_again.emit(facts)
            elif not quietly:
                self._session.notice("error", reply.error, "job_list")

        self._session.client.send(ShowJob, answered, job=job)

    def put_away(self, job: str) -> None:
        """Close a job in the window; it stays in the list."""
        self.watch(job, "")
        self._ask(PutAway, lambda _reply: self._session.piles.forget(job), job=job)

    def rename(self, job: str, name: str) -> None:
        """Give a job another name."""
        self._ask(RenameJob, job=job, name=name)

    def delete(self, job: str) -> None:
        """Delete a job that does not run; undo_delete() brings it back."""
        facts = self.facts(job)
        name = facts.name if facts is not None else ""
        was_open = job in self._session.jobs

        def gone(reply: Reply) -> None:
            del reply
            self.watch(job, "")
            if was_open:
                self._session.piles.forget(job)
            self.deleted.append((job, name))
            self._listed.pop(job, None)
            self._session.notice(
                "info",
                self.tr("Deleted '{name}'.").format(name=shown(name)),
                f"undo:pile:{job}",
                (self.tr("Undo"), lambda: self.undo_delete(job)),
            )
            self.changed.emit()

        self._ask(DeleteJob, gone, job=job)

    def undo_delete(self, job: str = "") -> None:
        """Bring back a deleted job, by default the one that was deleted last."""
        found = [entry for entry in self.deleted if entry[0] == job] if job else self.deleted[-1:]
        if not found:
            return
        self.deleted.remove(found[0])
        job = found[0][0]
        self._session.stale.emit(f"undo:pile:{job}")

        def back(reply: Reply) -> None:
            del reply
            self.show(job)

        self._ask(RestoreJob, back, job=job)
        self.changed.emit()

    def duplicate(self, job: str) -> None:
        """Make another job of the same documents and show it, with the same task filled in to be changed."""
        facts = self.facts(job)
        if facts is None:
            return
        name = self.tr("{name} (copy)").format(name=facts.name)

        def made(reply: Reply) -> None:
            copy = restore(JobFacts, reply.value["job"])
            self._session.piles.adopt(copy, select=True)
            self.shown_again.emit(copy)

        self._ask(DuplicateJob, made, job=job, copy=uuid.uuid4().hex, name=name)

    def shift(self, job: str, by: int) -> None:
        """Let an open job be served sooner (``by`` above 0) or later than the others."""
        facts = self.facts(job)
        if facts is not None and facts.open:
            self._ask(SetPriority, job=job, priority=facts.priority + by)

    # ---------------------------------------------------------------------------------------------------- watched folders
    def watched(self, job: str) -> str:
        """Return the folder that is watched for a job, "" for none."""
        return self._watches.get(job, "")

    def watch(self, job: str, folder: str) -> None:
        """Add what appears in ``folder`` to a job, now and after every start; "" ends it."""
        if folder == self.watched(job):
            return
        if folder:
            self._watches[job] = folder
        else:
            del self._watches[job]
        self._session.settings.set_json(WATCHES, self._watches)
        if folder:
            self._show_and_watch(job, folder, tell=True)
        else:
            self._session.stale.emit(f"watch:{job}")
        if not folder and job in self._session.jobs:
            self._session.client.send(WatchFolder, None, job=job, folder="")
        self.changed.emit()

    def _show_and_watch(self, job: str, folder: str, *, tell: bool) -> None:
        """Watch for a job, which has to be in memory for that; ``tell`` says so in a line."""

        def ready(reply: Reply) -> None:
            if reply.ok:
                facts = restore(JobFacts, reply.value["job"])
                if job not in self._session.jobs:
                    self._session.piles.adopt(facts, select=False)
                self._ask(WatchFolder, job=job, folder=folder)
                if tell:
                    text = self.tr("New files in {folder} are added to '{name}'.")
                    self._session.notice(
                        "info", text.format(folder=shown(folder), name=shown(facts.name)), f"watch:{job}"
                    )
            elif self._session.client.alive and job not in self._session.jobs:
                self._watches.pop(job, None)  # the job is gone
                self._session.settings.set_json(WATCHES, self._watches)

        self._session.client.send(ShowJob, ready, job=job)
