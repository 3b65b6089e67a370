"""Commands about jobs as any thread gives them: each is carried out on the coordinator's thread (control.py)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

from engine import tasks
from engine.errors import UsageError
from engine.jobs import control
from engine.jobs.job import Job
from engine.jobs.result_cache import look_up

if TYPE_CHECKING:
    from engine.jobs.coordinator import Coordinator


class JobCommands:
    """Makes jobs, starts, pauses and stops them. A job that is not in memory is a UsageError."""

    def __init__(self, coordinator: Coordinator, answers: Executor) -> None:
        """Command the jobs of ``coordinator``; earlier answers are looked for in ``answers``."""
        self._coordinator, self._answers = coordinator, answers

    def job(self, name: str) -> Job:
        """Return a job in memory, to be handed back to the coordinator's thread."""
        return self._coordinator.call(lambda: self._coordinator.job(name))

    def create(self, job: str, name: str, command: str) -> None:
        """Make a new, empty pile."""
        coordinator = self._coordinator

        def create() -> None:
            if job in coordinator.jobs:
                raise UsageError(f"There is a job {job!r} already.")
            made = Job(job, coordinator.journal, name, time.time(), command=command)
            coordinator.journal.add_job(made.record())
            coordinator.put(made)

        coordinator.call(create)

    def submit(
        self, job: str, task: str, settings: dict[str, Any] | None, priority: int, *, again: bool, rest: bool
    ) -> None:
        """Queue the job's waiting documents with a task, and look for answers that the journal has."""
        made = tasks.make(task, settings or {})
        found = self.job(job)
        asked = dict(settings or {})
        self._coordinator.call(
            lambda: control.submit(self._coordinator, found, made, asked, priority, again=again, rest=rest)
        )
        self._answers.submit(look_up, self._coordinator, found)

    def pause(self, job: str) -> Future[None]:
        """Take no more of a job; the future is done when nothing of it runs, or it is resumed."""
        found = self.job(job)
        self._coordinator.call(lambda: control.pause(self._coordinator, found))
        return self._coordinator.when(
            lambda: control.settled(self._coordinator, found) or found.status not in ("paused", "finished")
        )

    def resume(self, job: str) -> None:
        """Go on with a paused job."""
        found = self.job(job)
        self._coordinator.call(lambda: control.resume(self._coordinator, found))

    def cancel(self, job: str) -> Future[None]:
        """Stop a job within a layer; the future is done when nothing of it runs, or it is started again."""
        found = self.job(job)
        self._coordinator.call(lambda: control.cancel(self._coordinator, found))
        return self._coordinator.when(lambda: control.settled(self._coordinator, found) or found.status != "cancelled")

    def retry(self, job: str, documents: Iterable[int]) -> int:
        """Run documents again; returns how many."""
        found, numbers = self.job(job), list(documents)
        return self._coordinator.call(lambda: control.retry(self._coordinator, found, numbers))

    def remove(self, job: str, documents: Iterable[int]) -> int:
        """Take documents off the pile; returns how many."""
        found, numbers = self.job(job), list(documents)
        return self._coordinator.call(lambda: control.remove(self._coordinator, found, numbers))

    def set_priority(self, job: str, priority: int) -> None:
        """Serve jobs with a higher number first."""
        found = self.job(job)
        self._coordinator.call(lambda: control.set_priority(self._coordinator, found, priority))

    def wait(self, job: str, timeout: float | None) -> bool:
        """Wait until the job has finished, was cancelled or paused; False when ``timeout`` was not enough."""
        found = self.job(job)

        def is_over() -> bool:
            return control.over(self._coordinator, found)

        if self._coordinator.call(is_over):
            return True
        over = self._coordinator.when(is_over)
        try:
            over.result(timeout)
        except TimeoutError:
            return not over.cancel()
        return True
