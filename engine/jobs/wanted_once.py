"""What a task wants answered once for its whole job, such as the vectors of its labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.jobs.job import LIVE
from engine.workers.reading import let_exits_through, said

if TYPE_CHECKING:
    from engine.jobs.job import Job
    from engine.requests.request import Request


def wanted_once(job: Job) -> tuple[Request, ...]:
    """Return the requests of the task's ``prepare_job``; a task's fault there pauses its job."""
    try:
        return () if job.task is None else tuple(job.task.prepare_job())
    except BaseException as error:  # noqa: BLE001 - whatever a task's own code raises
        let_exits_through(error)
        if job.status in LIVE:
            job.set_status("paused", f"The task's own texts could not be made: {said(error)}")
        return ()
