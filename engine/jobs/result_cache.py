"""Answers from the journal: documents whose question was answered before, by any job, are not run again."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from engine.api.state import State
from engine.errors import HeddleError
from engine.jobs.renewing import changed
from engine.store.record import Result
from engine.workers.reading import let_exits_through, said

if TYPE_CHECKING:
    from engine.jobs.coordinator import Coordinator
    from engine.jobs.document import Document
    from engine.jobs.job import Job
    from engine.store.record import Record

log = logging.getLogger(__name__)

Answers = dict[int, tuple["Record", Result]]
"""By document: what was found, the document that it was made of and the result."""


def find(coordinator: Coordinator, job: Job, documents: Iterable[Document], *, settled: bool = False) -> Answers:
    """Return the answers that the journal has for waiting documents; none if the job wants to be run anyway.

    Waits for the disk, unless that was ``settled`` before, so it is never called on the coordinator's thread.
    """
    if job.again or job.task is None or job.trial:
        return {}
    keys: dict[str, list[int]] = {}
    renewed: dict[int, Record] = {}

    def ask() -> None:
        for document in documents:
            waits = document.record.state == State.WAITING and not document.fresh
            if waits and (key := coordinator.key_of(job, document.record)):
                keys.setdefault(key, []).append(document.record.id)
                if document.renew:
                    renewed[document.record.id] = document.record

    coordinator.call(ask)
    if not keys:
        return {}
    try:
        found = coordinator.journal.answers(list(keys), settled=settled)
    except HeddleError as error:
        log.warning("earlier answers cannot be looked up: %s", error)
        return {}
    return {
        number: found[key]
        for key, numbers in keys.items()
        if key in found
        for number in numbers
        if number not in renewed or not changed(renewed[number])  # what is retried is taken as it is now
    }


def apply(coordinator: Coordinator, job: Job, answers: Answers) -> None:
    """Let documents that still wait be done by answers that are there; on the coordinator's thread."""
    if job.task is None:
        return
    for number, (source, result) in answers.items():
        document = job.pile.documents.get(number)
        if document is None or document.record.state != State.WAITING:
            continue
        try:
            summary = job.task.summary(result.value)
        except BaseException as error:  # noqa: BLE001 - an answer that the task cannot read is asked for again
            let_exits_through(error)
            log.warning("an earlier answer does not fit the task: %s", said(error))
            continue
        coordinator.scheduler.withdraw(job.id, [number])
        job.states.answer(number, source, result, summary)


def look_up(coordinator: Coordinator, job: Job) -> None:
    """Answer what can be answered of a job that was just started, then let the workers have the rest.

    Runs on a thread that may wait for the disk; ``job.looking`` keeps the workers away meanwhile.
    """
    try:
        waiting = coordinator.call(lambda: [d for d in job.pile.documents.values() if d.record.state == State.WAITING])
        for start in range(0, len(waiting), 1_000):
            # What was written meanwhile is this job's own, and need not be seen.
            found = find(coordinator, job, waiting[start : start + 1_000], settled=start > 0)
            coordinator.call(partial(apply, coordinator, job, found))
    finally:
        coordinator.call(partial(_looked_up, coordinator, job))


def _looked_up(coordinator: Coordinator, job: Job) -> None:
    job.looking -= 1
    coordinator.dispatcher.take_back()  # what is urgent is in the next batch that a worker forms
    coordinator.update(job)
