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
    return not Source(record.path, record.size, record.mtime_ns, record.locator).is_as(status)


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


def same_in_newer_file(coordinator: Coordinator, job: Job, number: int, mtime_ns: int) -> None:
    """Note that a part is what it was, in a file that changed elsewhere: its result stands."""

    def note() -> None:
        if number in job.pile.documents:
            job.pile.change(number, mtime_ns=mtime_ns)
            coordinator.update(job)

    coordinator.call(note)
