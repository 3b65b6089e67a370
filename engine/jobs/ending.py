"""Ends: of a document, done or failed, and of a job, which its task may look at as a whole."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from engine.api.state import State
from engine.api.table_row import COLUMNS
from engine.errors import HeddleError
from engine.jobs.document import name_of
from engine.jobs.job import LIVE
from engine.store.cells import shown
from engine.tasks.base import FinishedRow, Outcome, with_columns
from engine.workers.reading import said

if TYPE_CHECKING:
    from engine.jobs.coordinator import Coordinator
    from engine.jobs.job import Job
    from engine.store.record import Record, Result
    from engine.tasks.base import Task

log = logging.getLogger(__name__)


# --------------------------------------------------------------------------------------------------------------- documents
def finish(coordinator: Coordinator, job: Job, number: int, outcome: Outcome, seconds: float, worker: int) -> None:
    """Let a document be done, or failed where its result is none."""
    try:
        document = job.pile.documents[number]
        key = coordinator.key_of(job, document.record)
        job.states.done(number, with_columns(outcome, dict(document.columns)), key, seconds, worker)
    except Exception as error:  # noqa: BLE001 - a result may be anything
        reason = str(error) if isinstance(error, HeddleError) else f"the task failed: {said(error)}"
        fail(coordinator, job, number, reason, seconds)
        return
    _count(coordinator, job, number, worker)
    _run_stale_again(coordinator, job, number)


def fail(
    coordinator: Coordinator, job: Job, number: int, reason: str, seconds: float, state: State = State.FAILED
) -> None:
    """Let a document be failed or skipped."""
    coordinator.scheduler.withdraw(job.id, [number])
    job.states.end(number, state, reason, seconds)
    _count(coordinator, job, number, -1)
    _run_stale_again(coordinator, job, number)


def _run_stale_again(coordinator: Coordinator, job: Job, number: int) -> None:
    if job.pile.documents[number].stale:
        job.states.run_again(number)
        coordinator.line_up(job, [number])


def _count(coordinator: Coordinator, job: Job, number: int, worker: int) -> None:
    if job.trial:
        return
    job.pile.bytes_done += job.pile.documents[number].record.size
    meters = coordinator.workers.meters
    if 0 <= worker < len(meters):
        meters[worker].documents += 1
    coordinator.throughput.add(documents=1)


# --------------------------------------------------------------------------------------------------------------------- jobs
def is_over(coordinator: Coordinator, job: Job) -> bool:
    """Tell whether nothing is left of a job."""
    left = job.adding or job.looking or job.advancing or job.finishing or job.pile.counts[State.OFFLINE]
    return not left and coordinator.scheduler.is_idle(job.id)


def finish_job(coordinator: Coordinator, job: Job) -> None:
    """Let a job be finished of which nothing is left, once its task, on a helper, has looked at all results."""
    finish = getattr(job.task, "finish_job", None)
    if finish is None or job.trial:
        _end_job(coordinator, job)
        return
    job.finishing = True
    assert job.task is not None
    coordinator.help(
        partial(_revised_rows, coordinator, job, finish), partial(_take_in_rows, coordinator, job, job.task)
    )


def _revised_rows(
    coordinator: Coordinator, job: Job, finish: Callable[..., dict[int, dict[str, object]]]
) -> dict[int, dict[str, object]]:
    rows = {
        record.id: _row(record, result) for record, result in coordinator.journal.results(job.id) if result is not None
    }
    return finish(rows)


def _row(record: Record, result: Result) -> FinishedRow:
    vector = None if result.vector is None else np.frombuffer(result.vector, "<f4")
    return FinishedRow(result.value, shown(name_of(record)), record.sha256, vector)


def _take_in_rows(
    coordinator: Coordinator,
    job: Job,
    task: Task,
    changed: dict[int, dict[str, object]] | None,
    error: BaseException | None,
) -> None:
    job.finishing = False
    if coordinator.closing or coordinator.jobs.get(job.id) is not job or job.status not in (*LIVE, "paused"):
        return  # it was stopped meanwhile
    if job.task is not task or not is_over(coordinator, job):  # more came meanwhile, and the end is looked at again
        coordinator.update(job)
        return
    if error is None:
        try:
            _revise(coordinator, job, task, changed or {})
        except Exception as problem:  # noqa: BLE001 - whatever a task's values are
            error = problem
    if error is not None:
        log.error("the task could not finish its job", exc_info=error)
        coordinator.halt(job, f"The task failed at the end of the job: {said(error)}")
        return
    _end_job(coordinator, job)


def _end_job(coordinator: Coordinator, job: Job) -> None:
    """Let a job be finished; what is added later waits until it is started again."""
    job.set_status("finished")
    coordinator.scheduler.close(job.id)


def _revise(coordinator: Coordinator, job: Job, task: Task, changed: dict[int, dict[str, object]]) -> None:
    for number, value in changed.items():
        document = job.pile.documents.get(number)
        result = coordinator.journal.result(number) if document is not None else None
        if result is not None:
            outcome = with_columns(Outcome(value, task.summary(value)), result.value.get(COLUMNS))
            job.states.revise(number, outcome, result)
