"""Counting a pile's tokens before it runs, on idle workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.jobs import control

if TYPE_CHECKING:
    from engine.jobs.coordinator import Coordinator
    from engine.jobs.job import Job
    from engine.jobs.preview import Preview
    from engine.tasks.base import Task


class TokenCounts:
    """Counts begin and end on the coordinator's thread; a new one of a pile goes on where the last one was."""

    def __init__(self, coordinator: Coordinator, preview: Preview) -> None:
        """Count for jobs of ``coordinator``; ``preview`` sums up."""
        self._coordinator, self._preview = coordinator, preview

    def begin(self, job: Job, task: Task | None) -> Callable[[], dict[str, Any]]:
        """Let workers count; returns what waits for the end and sums up. Raises UsageError without a model."""
        self._preview.need_model()
        stop = self._coordinator.call(lambda: control.count(self._coordinator, job))
        counted = self._coordinator.when(lambda: control.counted(self._coordinator, job, stop))

        def sum_up() -> dict[str, Any]:
            counted.result()
            return self._preview.overview(job, task)

        return sum_up

    def stop(self, job: Job) -> None:
        """End the counting of a pile's tokens; what is counted stays."""
        self._coordinator.call(lambda: control.stop_counting(self._coordinator, job))
