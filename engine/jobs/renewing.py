"""Files that changed since they were added: their rows are made anew of what the files say now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from engine.api.state import State
from engine.documents.document import Source
from engine.store.record import Record

if TYPE_CHECKING:
    from engine.jobs.coordinator import Coordinator
    from engine.jobs.document import Document
    from engine.jobs.job import Job


def changed(record: Record) -> bool:
    """Tell whether the file of a record is there and is not what it was, by size and time of change."""
    try:
        status = os.stat(record.path)
    except (OSError, ValueError):
        return False
    now = Source(record.path, status.st_size, status.st_mtime_ns)
    return (now.size, now.mtime_ns) != (record.size, record.mtime_ns)


def renew(coordinator: Coordinator, job: Job, number: int, document: Document) -> None:
    """Put a document that was read anew in the place of an older state of its file; one that runs is run again then."""

    def put_in() -> None:
        held = job.pile.documents.get(number)
        if held is None:
            return
        if held.record.state == State.RUNNING:
            held.stale = True
            return
        coordinator.texts.forget([held])
        coordinator.scheduler.withdraw(job.id, [number])
        job.states.put_in(number, document)
        if job.pile.waits(number):
            coordinator.line_up(job, [number])
        coordinator.update(job)

    coordinator.call(put_in)
