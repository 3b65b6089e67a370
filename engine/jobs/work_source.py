"""The coordinator as the model manager sees it: where workers get their work from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.jobs import control
from engine.jobs.job import LIVE
from engine.jobs.question import model_key
from engine.tasks.base import writes

if TYPE_CHECKING:
    from engine.jobs.coordinator import Coordinator
    from engine.scheduling.policies import Policy
    from engine.telemetry.activity import Board
    from engine.telemetry.meter import WorkerMeter
    from engine.workers.inbox import Inbox
    from engine.workers.message import Message


class CoordinatedWork:
    """Passes on to the coordinator's thread what the model manager says (workers.manager.WorkSource)."""

    def __init__(self, coordinator: Coordinator) -> None:
        """Speak for ``coordinator``."""
        self._coordinator = coordinator

    def use_model(self, fingerprint: str, dtype: str) -> None:
        """Ask this model from now on, in the number format that was asked for."""
        self._coordinator.call(lambda: control.use_model(self._coordinator, model_key(fingerprint, dtype)))

    def model_changed(self) -> None:
        """Prepare everything that waits anew: tokens and vectors are another model's."""
        self._coordinator.call(lambda: control.change_model(self._coordinator))

    def model_goes(self) -> None:
        """End what needs the model's tokenizer."""
        self._coordinator.call(lambda: control.forget_counting(self._coordinator))

    @property
    def board(self) -> Board:
        """Where it is noted what threads are at."""
        return self._coordinator.board

    def at_work(self) -> tuple[str, str]:
        """Return the names of a job that runs, and of a paused one whose texts are still being written; empty for none."""

        def look() -> tuple[str, str]:
            piles = [job for job in self._coordinator.jobs.values() if not job.trial]
            running = [job.name or "a job" for job in piles if job.status in LIVE]
            writing = [
                job.name or "a job"
                for job in piles
                if job.told == "pausing" and job.task is not None and writes(job.task)
            ]
            return running[0] if running else "", writing[0] if writing else ""

        return self._coordinator.call(look)

    def open_workers(
        self, count: int, device: str, policy: Policy, capability: str
    ) -> tuple[list[Inbox], list[WorkerMeter], Callable[[Message], None], int]:
        """Give work to ``count`` new workers: their inboxes, meters, how they post, and their generation."""
        return self._coordinator.open_workers(count, device, policy, capability)

    def close_workers(self) -> None:
        """Let every worker end after what it is doing."""
        self._coordinator.close_workers()

    def worker_ended(self, worker: int, generation: int, why: str) -> None:
        """Count on a worker no more."""
        self._coordinator.worker_ended(worker, generation, why)

    def work_done(self) -> tuple[float, int]:
        """Return the seconds that workers were busy, and the forwards that they computed."""
        meters = list(self._coordinator.workers.meters)
        return sum(meter.busy for meter in meters), sum(meter.steps for meter in meters)
