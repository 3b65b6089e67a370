"""What is known of piles, asked from any thread."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.jobs.coordinator import Coordinator
    from engine.store.record import Record


class PileFacts:
    """Asks the coordinator's thread. A job that is not in memory is a UsageError."""

    def __init__(self, coordinator: Coordinator) -> None:
        """Ask about the jobs of ``coordinator``."""
        self._coordinator = coordinator

    def names(self) -> list[str]:
        """Return the jobs that are in memory, trials apart."""
        return self._coordinator.call(lambda: [job.id for job in self._coordinator.jobs.values() if not job.trial])

    def documents_in(self, job: str, states: Container[str]) -> list[int]:
        """Return the documents of a pile that are in one of these states."""
        return self.documents_that(job, lambda record: record.state in states)

    def documents_that(self, job: str, wanted: Callable[[Record], bool]) -> list[int]:
        """Return the documents of a pile whose records are ``wanted``."""
        coordinator = self._coordinator
        return coordinator.call(lambda: coordinator.job(job).pile.numbers(lambda document: wanted(document.record)))

    def counts(self, job: str) -> dict[str, int]:
        """Return how many documents of a pile are in each state."""
        return self._coordinator.call(lambda: dict(self._coordinator.job(job).pile.counts))

    def needs_model(self, job: str) -> bool:
        """Tell whether something waits to be read that the journal has no answer to."""
        coordinator = self._coordinator
        return coordinator.call(lambda: not coordinator.job(job).looking and coordinator.scheduler.waiting(job)[0] > 0)

    def answered(self, job: str) -> int:
        """Return how many documents the journal answered, without a worker."""
        return self._coordinator.call(lambda: self._coordinator.job(job).pile.answered)

    def generated(self) -> tuple[list[Any], list[float]]:
        """Return what the workers' generators have counted, and the times to the first token, shortest first."""
        meters = list(self._coordinator.workers.meters)
        counted = [meter.statistics for meter in meters if meter.statistics is not None]
        return counted, self._coordinator.call(lambda: sorted(self._coordinator.throughput.ttft))
