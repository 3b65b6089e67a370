"""The trial: a task run on one document before the run, through the same workers, of which nothing is kept."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.api.snapshot import TrialState
from engine.errors import DocumentError, UsageError
from engine.jobs import control
from engine.jobs.document import Document
from engine.jobs.inspection import text_of, visible
from engine.jobs.job import LIVE, Job
from engine.jobs.keeping import Unkept
from engine.store.record import Record

if TYPE_CHECKING:
    from engine.jobs.coordinator import Coordinator
    from engine.tasks.base import Task

PRIORITY = 1 << 30
"""A trial is served before every pile: somebody is looking at it."""

SHOWN = 20_000
"""Characters of the growing text that a snapshot carries, the newest ones; the reply at the end has all."""


class Trials:
    """One trial at a time; a new one ends the one before."""

    def __init__(self, coordinator: Coordinator) -> None:
        """Run trials on the workers of ``coordinator``."""
        self.coordinator = coordinator
        self._lock = threading.Lock()
        self._job: Job | None = None
        self._of = -1

    def run(
        self, pile: Job, number: int, task: Task, settings: dict[str, Any], closing: Callable[[], bool]
    ) -> dict[str, Any]:
        """Run ``task`` on a document of ``pile`` and return what came of it when it has ended, as api.Trial tells.

        The answer is the one that the run will give: same prompt, same seed. The row in the pile stays as it is. Raises
        UsageError or DocumentError when the document cannot be read.
        """
        coordinator = self.coordinator
        record, found, problem = text_of(coordinator, pile, number)
        long = found.long
        if problem:
            raise DocumentError(problem)
        unkept = Unkept()
        job = Job(f"trial-{uuid.uuid4().hex}", unkept, "trial", time.time(), priority=PRIORITY, trial=True)
        job.task, job.task_name, job.settings = task, task.name, settings
        mine = coordinator.number()
        document = Document(
            Record(
                mine,
                job.id,
                0,
                record.path,
                record.size,
                0 if long is None else record.mtime_ns,
                record.sha256,
                record.encoding,
                locator=record.locator,
            ),
            text=found.text if long is None else None,
            columns=found.columns,
            in_memory=long is None,
        )

        def begin() -> None:
            if reason := coordinator.workers.mismatch(task):
                raise UsageError(reason)
            job.pile.add([document])
            coordinator.put(job)
            control.start(coordinator, job)

        with self._lock:
            self.stop()
            coordinator.call(begin)
            self._job, self._of = job, number
        try:
            self._wait(job, closing)
        finally:
            coordinator.call(lambda: coordinator.take_out(job))
        return {
            "document": number,
            "state": document.record.state,
            "reason": document.record.reason or job.message,
            "result": None if unkept.result is None else visible(unkept.result.value, settings),
            "summary": document.summary,
            "seconds": document.record.seconds,
            "coverage": document.record.used,
        }

    def _wait(self, job: Job, closing: Callable[[], bool]) -> None:
        over = self.coordinator.when(lambda: control.over(self.coordinator, job))
        while not closing():
            try:
                over.result(0.5)
                break
            except TimeoutError:
                continue
        if job.status in LIVE or job.status == "paused":  # the workers cannot go on with it
            self.coordinator.call(lambda: control.cancel(self.coordinator, job))

    def stop(self) -> None:
        """End the trial that is under way, within a layer."""
        job = self._job
        if job is not None and job.status in LIVE:
            self.coordinator.call(lambda: control.cancel(self.coordinator, job))

    def state(self) -> TrialState | None:
        """Return how far the trial is, None when there is none; called on the coordinator's thread."""
        job = self._job
        if job is None or job.id not in self.coordinator.jobs:
            return None
        document = next(iter(job.pile.documents.values()))
        return TrialState(self._of, document.record.state, document.writing[-SHOWN:], document.progress)
