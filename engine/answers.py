"""Answers from the journal: documents whose question was answered before, by any job, are not run again."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from engine.booking import warning
from engine.documents.document import State
from engine.errors import HeddleError
from engine.lanes.reading import let_exits_through, said
from engine.renewing import changed
from engine.store.record import Result

if TYPE_CHECKING:
    from engine.job import Document, Job
    from engine.runner import Runner
    from engine.store.record import Record

log = logging.getLogger(__name__)

Answers = dict[int, tuple["Record", Result]]
"""By document: what was found, the document that it was made of and the result."""


def find(runner: Runner, job: Job, documents: Iterable[Document], *, settled: bool = False) -> Answers:
    """Return the answers that the journal has for waiting documents; none if the job wants to be run anyway.

    Waits for the disk, unless that was ``settled`` before, so it is called without the runner's lock.
    """
    if job.again or job.task is None or job.scratch is not None:
        return {}
    keys: dict[str, list[int]] = {}
    renewed: dict[int, Record] = {}
    with runner.lock:
        for document in documents:
            waits = document.record.state == State.WAITING and not document.fresh
            if waits and (key := runner.key_of(job, document.record)):
                keys.setdefault(key, []).append(document.record.id)
                if document.renew:
                    renewed[document.record.id] = document.record
    if not keys:
        return {}
    try:
        found = runner.journal.answers(list(keys), settled=settled)
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


def apply(runner: Runner, job: Job, answers: Answers) -> None:
    """Book the answers of documents that still wait; under the runner's lock."""
    if job.task is None:
        return
    for number, (source, result) in answers.items():
        document = job.documents.get(number)
        if document is None or document.record.state != State.WAITING:
            continue
        try:
            summary = job.task.summary(result.value)
        except BaseException as error:  # noqa: BLE001 - an answer that the task cannot read is asked for again
            let_exits_through(error)
            log.warning("an earlier answer does not fit the task: %s", said(error))
            continue
        document.start_over()
        document.summary, document.progress = summary, 1.0
        known = {name: getattr(source, name) for name in ("tokens", "unknown_share", "coverage")}
        reason = warning(document.note, source)
        job.change(number, state=str(State.DONE), seconds=0.0, lane=-1, reason=reason, **known)
        copy = Result(number, result.value, result.vector, result.dimension, result.key)
        document.ticket = runner.kept_in(job).finish(document.record, copy)
        job.answered += 1


def look_up(runner: Runner, job: Job) -> None:
    """Answer what can be answered of a job that was just started, then let the lanes have the rest.

    Runs on a thread that may wait for the disk; ``job.looking`` keeps the lanes away meanwhile.
    """
    try:
        with runner.lock:
            waiting = [document for document in job.documents.values() if document.record.state == State.WAITING]
        for start in range(0, len(waiting), 1_000):
            # What was written meanwhile is this job's own, and need not be seen.
            found = find(runner, job, waiting[start : start + 1_000], settled=start > 0)
            with runner.lock:
                apply(runner, job, found)
    finally:
        runner.looked_up(job)
