"""What the window tells the engine about its piles; a command that an engine did not live to answer is given again."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from PySide6.QtCore import QObject, Signal

from engine.api import (
    AddPaths,
    Cancel,
    CreateJob,
    Export,
    Inspect,
    Pause,
    RemoveDocuments,
    Reply,
    RestoreDocuments,
    Resume,
    Retry,
    RunFirst,
    ShowJob,
    Submit,
)
from gui.engine_client import EngineClient
from gui.job import Job, new_job
from gui.notices import Notices
from gui.piles import Piles
from gui.settings import Settings


class PileCommands(QObject):
    """Commands about the pile that is shown. ``removed`` gives pile, removal and count of documents taken off one."""

    removed = Signal(str, int, int)

    def __init__(
        self, client: EngineClient, settings: Settings, piles: Piles, notices: Notices, parent: QObject
    ) -> None:
        """Speak to the engine of ``client`` about ``piles``; nothing is sent yet."""
        super().__init__(parent)
        self._client, self._settings, self._piles, self._notices = client, settings, piles, notices

    # ----------------------------------------------------------------------------------------------- piles and documents
    def new_pile(self, name: str = "") -> Job:
        """Make an empty pile and show it."""
        if not name:
            count = self._settings.json("piles", 0) + 1  # a name of its own among all piles ever
            self._settings.set_json("piles", count)
            name = self.tr("Pile {number}").format(number=count)
        job = new_job(uuid.uuid4().hex, name)
        self._create(job)
        self._piles.add(job)
        return job

    def _create(self, job: Job) -> None:
        job.creating = True

        def answered(reply: Reply) -> None:
            job.creating = False
            if self._client.alive:  # a dead engine's successor is told again
                self._notices.tell_failure(reply)

        self._client.send(CreateJob, answered, job=job.id, name=job.name)

    def add_paths(self, paths: Sequence[str], column: str = "") -> None:
        """Add files and folders to the pile that is shown, making one when there is none.

        ``column`` is the one of tables whose cells are the documents; empty takes the one with the longest texts.
        """
        if paths:
            name = os.path.basename(paths[0].rstrip("/\\"))
            self._add(self._piles.job or self.new_pile(name), tuple(paths), column)

    def _add(self, job: Job, paths: tuple[str, ...], column: str = "") -> None:
        def answered(reply: Reply) -> None:
            if reply.ok or self._client.alive:
                self._notices.tell_failure(reply)
            else:
                job.interrupted.append((paths, column))

        self._client.send(AddPaths, answered, job=job.id, paths=paths, column=column)

    def remove(self, documents: Iterable[int] = (), then: Callable[[], None] = lambda: None) -> None:
        """Take documents off the pile: those named, or all that do not run; ``then`` is called when they are gone."""
        job = self._piles.job
        if job is None:
            return

        def gone(reply: Reply) -> None:
            if reply.ok and reply.value.get("removal"):
                self.removed.emit(job.id, int(reply.value["removal"]), int(reply.value["count"]))
                then()

        self._ask(job, RemoveDocuments, gone, documents=tuple(documents))

    def put_back(self, job: str, removal: int) -> None:
        """Undo the removal of documents of a pile, by the id that ``removed`` gave."""
        self._ask(self._piles.jobs.get(job), RestoreDocuments, removal=removal)

    # ----------------------------------------------------------------------------------------------------------- running
    def start(self, task: str, settings: dict[str, Any], *, again: bool = False, anyway: bool = False) -> None:
        """Start the shown pile, or go on with the rest of one that was stopped.

        ``again`` runs the documents that are done once more, with the new task.

        ``anyway`` asks the model also where the journal knows the answer to the same question.
        """
        job = self._piles.job
        if job is None:
            return
        # Rows may lag behind the counts; the engine leaves alone what waits or runs.
        done = [n for n, row in job.pile.records.items() if row.state != "skipped"] if again else []
        job.submitted = (task, settings)
        self._notices.stale.emit("restarted")
        self._ask(job, Submit, task=task, settings=settings, again=anyway, rest=True)
        if done:
            self._ask(job, Retry, documents=tuple(done))

    def pause(self) -> None:
        """Let the shown pile finish what runs and take no more."""
        self._tell(self._piles.job, Pause)

    def resume(self) -> None:
        """Go on with the shown pile."""
        self._tell(self._piles.job, Resume)

    def stop(self) -> None:
        """Stop the shown pile."""
        self._tell(self._piles.job, Cancel)

    def retry(self, documents: Iterable[int] = ()) -> None:
        """Run documents again: those named, or all that failed or were cancelled."""
        self._ask(self._piles.job, Retry, documents=tuple(documents))

    def run_first(self, documents: Iterable[int]) -> None:
        """Let waiting documents run before the others of the shown pile."""
        self._ask(self._piles.job, RunFirst, documents=tuple(documents))

    # ----------------------------------------------------------------------------------------------------------- results
    def inspect(self, document: int, then: Callable[[Reply], None]) -> int:
        """Ask for text and result of a document of the shown pile; returns the request id."""
        return self._client.send(Inspect, then, job=self._piles.current, document=document)

    def export(
        self,
        path: str,
        format: str,  # noqa: A002 - the protocol's word
        then: Callable[[Reply], None],
        *,
        grow: bool = False,
    ) -> None:
        """Write the rows of the shown pile to a file, and with ``grow`` those of documents that end later, too."""
        job = self._piles.job
        if job is None:
            return

        def answered(reply: Reply) -> None:
            if grow and reply.ok:
                job.growing.add(path)
            then(reply)

        job.growing.discard(path)
        self._client.send(Export, answered, job=job.id, path=path, format=format, grow=grow)

    # ----------------------------------------------------------------------------------------------------- a new engine
    def repeat(self, recovered: set[str]) -> None:
        """Have a new engine open what is open here; piles and paths that the journal did not keep are told again."""
        for job in self._piles.jobs.values():
            if job.id not in recovered and not job.creating:
                self._open_again(job)
            else:
                self._add_again(job)

    def _open_again(self, job: Job) -> None:
        def answered(reply: Reply) -> None:
            if not self._client.alive:
                return  # the next engine is asked
            if not reply.ok:
                self._create(job)
            self._add_again(job)

        self._client.send(ShowJob, answered, job=job.id)

    def _add_again(self, job: Job) -> None:
        again, job.interrupted = job.interrupted, []
        for paths, column in again:
            self._add(job, paths, column)
        unanswered, job.unanswered = job.unanswered, []
        for kind, fields in unanswered:
            self._ask(job, kind, repeated=True, **fields)
        for path in sorted(job.growing):
            self._follow(job, path)

    def _follow(self, job: Job, path: str) -> None:
        """Have a new engine go on with a file that gets rows as documents end."""

        def answered(reply: Reply) -> None:
            if not reply.ok and self._client.alive:
                job.growing.discard(path)
                self._notices.tell_failure(reply)

        self._client.send(Export, answered, job=job.id, path=path, format="jsonl", grow=True, resume=True)

    # ----------------------------------------------------------------------------------------------------------- asking
    def _tell(self, job: Job | None, kind: Callable[..., Any]) -> None:
        """Give a command that does no harm given twice; its answer may take as long as what is under way."""
        if job is not None:
            self._client.send(kind, lambda reply: self._heard(reply, job, kind, {}), job=job.id)

    def _heard(
        self, reply: Reply, job: Job, kind: Callable[..., Any], fields: dict[str, Any], *, repeated: bool = False
    ) -> None:
        """Tell why a command was not carried out; if the engine ended before it could be, its successor is asked once."""
        if reply.ok or self._client.alive or repeated:
            self._notices.tell_failure(reply, f"job:{job.id}")
        else:
            job.unanswered.append((kind, fields))

    def _ask(
        self,
        job: Job | None,
        kind: Callable[..., Any],
        then: Callable[[Reply], None] | None = None,
        *,
        repeated: bool = False,
        **fields: Any,
    ) -> None:
        if job is None:
            return
        job.asked += 1

        def answered(reply: Reply) -> None:
            job.asked -= 1
            self._heard(reply, job, kind, fields, repeated=repeated)
            if then is not None:
                then(reply)
            self._piles.changed.emit()

        self._client.send(kind, answered, job=job.id, **fields)
        self._piles.changed.emit()
