"""Documents whose step is complete: helpers ask their task what comes next, and the coordinator takes it in."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from engine.jobs.advance import Advance, Advanced, advance
from engine.jobs.ending import fail, finish
from engine.tasks.base import Step
from engine.workers.reading import said

if TYPE_CHECKING:
    from engine.jobs.coordinator import Coordinator
    from engine.jobs.job import Job
    from engine.workers.assignment import JobRun

log = logging.getLogger(__name__)


def ask_task(coordinator: Coordinator, job: Job, documents: list[Advance]) -> None:
    """Let helpers advance the task of documents whose step is complete."""
    if not documents or job.task is None:
        return
    job.advancing += len(documents)
    task, outputs, run = job.task, job.outputs or {}, job.run
    coordinator.help(lambda: advance(task, outputs, documents), partial(_take_in_all, coordinator, job, run, documents))


def _take_in_all(
    coordinator: Coordinator,
    job: Job,
    run: JobRun,
    asked: list[Advance],
    done: list[Advanced] | None,
    error: BaseException | None,
) -> None:
    job.advancing -= len(asked)
    if done is None:
        log.error("tasks could not be advanced", exc_info=error)
        reason = "the task failed" if error is None else f"the task failed: {said(error)}"
        done = [Advanced(one, None, reason) for one in asked]
    for one in done:
        if not job.goes_on(run) or one.asked.document not in job.pile.documents:
            continue
        try:
            _take_in(coordinator, job, one)
        except Exception as problem:  # whatever a task may return
            log.exception("document %d: what the task returned cannot be taken", one.asked.document)
            fail(coordinator, job, one.asked.document, f"the task failed: {said(problem)}", one.asked.seconds)
    coordinator.update(job, after_work=True)


def _take_in(coordinator: Coordinator, job: Job, one: Advanced) -> None:
    number, asked = one.asked.document, one.asked
    step = job.pile.documents[number].step
    if step is None or step.step != asked.step:
        return
    if isinstance(one.found, Step):
        for name in step.dear:
            coordinator.keep_output(job, number, name)
        job.states.next_step(number, asked.step + 1, one.found.state, one.found.requests)
        coordinator.line_up(job, [number])
    elif one.found is None:
        fail(coordinator, job, number, one.reason, asked.seconds)
    else:
        finish(coordinator, job, number, one.found, asked.seconds, asked.worker)
