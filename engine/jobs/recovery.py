"""Recovery: jobs of a session file whose engine died come back with what was done, and what was not waits again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from engine import tasks
from engine.api.state import State
from engine.errors import HeddleError
from engine.jobs.document import Document
from engine.jobs.job import LIVE, Job
from engine.jobs.pile import OPEN
from engine.store.checked import LOST
from engine.tasks.base import cells, rating
from engine.workers.reading import let_exits_through, said

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.jobs.coordinator import Coordinator
    from engine.store.record import JobRecord, Result
    from engine.tasks.base import Task

log = logging.getLogger(__name__)


def recover(
    coordinator: Coordinator, command: str | None = None, wanted: Callable[[JobRecord], bool] | None = None
) -> tuple[str, ...]:
    """Bring back the jobs of the coordinator's journal that are ``wanted``, by default all; returns their ids, oldest first.

    A job that ran is queued again and goes on as soon as workers are open. Nothing that is done is run again. With
    ``command``, only the job of that command comes back, and waits to be submitted.
    """
    names: list[str] = []
    for kept in coordinator.journal.jobs():
        if command is not None and kept.command != command:
            continue
        if wanted is None or wanted(kept):
            bring_back(coordinator, kept, ready=command is not None)
            names.append(kept.id)
    return tuple(names)


def bring_back(coordinator: Coordinator, kept: JobRecord, *, ready: bool = False) -> Job:
    """Bring one job of the journal into memory, unless it is there; returns it. With ``ready`` it waits to be submitted."""
    journal = coordinator.journal
    job = Job(kept.id, journal, kept.name, kept.created, kept.status, kept.priority, None, kept.task, kept.settings)
    job.encoding, job.on_bad_bytes, job.command = kept.encoding, kept.on_bad_bytes, kept.command
    if kept.task:
        try:
            job.task = tasks.make(kept.task, kept.settings)
        except HeddleError as error:
            log.warning("job %s cannot go on: %s", kept.id, error)
            job.status, job.message = "paused", str(error)
    documents: list[Document] = []
    try:
        outputs = journal.outputs(kept.id)
        for record, result in journal.results(kept.id, vectors=False):
            noted = record.state in OPEN and record.reason != LOST
            document = Document(record, note=record.reason if noted else "", kept=outputs.get(record.id, {}))
            if record.state == State.DONE and result is not None and job.task is not None:
                document.summary, document.progress = _summary(job.task, result), 1.0
                document.rating, document.cells = rating(result.value), cells(result.value)
            documents.append(document)
    except HeddleError as error:  # the others can go on
        log.error("job %s cannot be read", kept.id)
        job.status, job.message = "paused", str(error)
    job.pile.add(documents, keep=False)
    if job.status in LIVE:
        job.status = "queued"
    if ready:
        job.status = "ready"

    def put() -> Job:
        if job.id not in coordinator.jobs:
            coordinator.put(job)
        return coordinator.jobs[job.id]

    return coordinator.call(put)


def _summary(task: Task, result: Result) -> str:
    """The line of an earlier result; nothing where its task cannot read it, which costs no other row."""
    try:
        return task.summary(result.value)
    except BaseException as error:  # noqa: BLE001 - a task may fail in any way
        let_exits_through(error)
        log.warning("the result of document %d cannot be summed up: %s", result.document, said(error))
        return ""
