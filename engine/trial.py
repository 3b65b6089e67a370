"""The trial: a task run on one document before the run, through the same lanes, of which nothing is kept."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from engine.errors import DocumentError, UsageError
from engine.inspection import text_of, visible
from engine.job import LIVE, Document, Job
from engine.metrics.snapshot import TrialState
from engine.store.record import Record

if TYPE_CHECKING:
    from engine.runner import Runner
    from engine.store.record import Result
    from engine.tasks.base import Task

PRIORITY = 1 << 30
"""A trial is served before every pile: somebody is looking at it."""

SHOWN = 20_000
"""Characters of the growing text that a snapshot carries, the newest ones; the reply at the end has all."""


class Scratch:
    """Takes what the journal takes, and keeps the newest result only."""

    def __init__(self) -> None:
        """Start with no result."""
        self.result: Result | None = None

    def add_documents(self, _records: Iterable[Record]) -> int:
        """Keep nothing."""
        return 0

    def update_documents(self, _records: Iterable[Record]) -> int:
        """Keep nothing."""
        return 0

    def update_job(self, _job: str, **_changes: Any) -> int:
        """Keep nothing."""
        return 0

    def remove_documents(self, _job: str, _documents: Iterable[int]) -> int:
        """Keep nothing."""
        return 0

    def finish(self, _record: Record, result: Result | None) -> int:
        """Keep the result."""
        self.result = result
        return 0


class Trials:
    """One trial at a time; a new one ends the one before."""

    def __init__(self, runner: Runner) -> None:
        """Run trials on the lanes of ``runner``."""
        self.runner = runner
        self._lock = threading.Lock()
        self._job: Job | None = None
        self._of = -1

    def run(
        self, pile: Job, number: int, task: Task, settings: dict[str, Any], closing: Callable[[], bool]
    ) -> dict[str, Any]:
        """Run ``task`` on a document of ``pile`` and return what came of it when it has ended, as protocol.Trial tells.

        The answer is the one that the run will give: same prompt, same seed. The row in the pile stays as it is. Raises
        UsageError or DocumentError when the document cannot be read.
        """
        record, text, long, problem = text_of(self.runner, pile, number)
        if problem:
            raise DocumentError(problem)
        job = Job(f"trial-{uuid.uuid4().hex}", "trial", time.time(), priority=PRIORITY, scratch=Scratch())
        job.task, job.task_name, job.settings = task, task.name, settings
        mine = self.runner.number()
        if long is not None:  # it stays in its file
            job.encoding, job.on_bad_bytes = pile.encoding, pile.on_bad_bytes
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
            ),
            text=text if long is None else None,
            in_memory=long is None,
        )
        with self._lock:
            self.stop()
            with self.runner.lock:
                if reason := self.runner.mismatch(task):
                    raise UsageError(reason)
                self.runner.jobs[job.id] = job
                self.runner.add(job, [document])
                self.runner.start(job)
            self._job, self._of = job, number
        try:
            self._wait(job, closing)
        finally:
            with self.runner.lock:
                del self.runner.jobs[job.id]
        assert job.scratch is not None
        result = job.scratch.result
        return {
            "document": number,
            "state": document.record.state,
            "reason": document.record.reason or job.message,
            "result": None if result is None else visible(result.value, settings),
            "summary": document.summary,
            "seconds": document.record.seconds,
            "coverage": document.record.used,
        }

    def _wait(self, job: Job, closing: Callable[[], bool]) -> None:
        with self.runner.lock:
            while (job.status in LIVE or job.under_way) and not closing():
                self.runner.settled.wait(0.5)
            if job.status in LIVE or job.status == "paused":  # the lanes cannot go on with it
                self.runner.cancel(job)

    def stop(self) -> None:
        """End the trial that is under way, within a layer."""
        job = self._job
        if job is not None and job.status in LIVE:
            self.runner.cancel(job)

    def state(self) -> TrialState | None:
        """Return how far the trial is, None when there is none; called under the runner's lock."""
        job = self._job
        if job is None or job.id not in self.runner.jobs:
            return None
        document = next(iter(job.documents.values()))
        return TrialState(self._of, document.record.state, document.writing[-SHOWN:], document.progress)
