"""The workers as the coordinator knows them: inboxes, meters, which plan they belong to, what they can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.requests.capability import ENCODE, GENERATE
from engine.telemetry.meter import WorkerMeter
from engine.workers.inbox import Inbox

if TYPE_CHECKING:
    from engine.tasks.base import Task

ENDED = "ended"
"""The activity of a worker that is gone before its plan is over."""


class WorkerTable:
    """The workers of the present plan, and their meters after it, until the next one."""

    def __init__(self) -> None:
        """Start with none."""
        self.inboxes: list[Inbox] = []
        self.meters: list[WorkerMeter] = []
        self.generation = 0
        """Grows with every plan: what workers of an earlier one say is not heard."""
        self.capability = ENCODE
        """What the open model can do, and so the jobs that its workers take."""
        self.gone = ""
        """Why no worker is left, though some were opened; empty while there are any."""

    def open(self, count: int, device: str, capability: str) -> None:
        """Begin a plan of ``count`` workers."""
        self.generation += 1
        self.capability, self.gone = capability, ""
        self.inboxes = [Inbox() for _ in range(count)]
        self.meters = [WorkerMeter(device) for _ in range(count)]

    def ended(self, worker: int) -> None:
        """Put nothing into a worker's inbox any more: it ended unexpectedly."""
        self.meters[worker].activity = ENDED
        if worker < len(self.inboxes):
            self.inboxes[worker].close()

    def obstacle(self, task: Task | None) -> str:
        """Return why nothing of ``task`` can run with what is open; empty when it can, or nothing is open yet."""
        return self.gone or (self.mismatch(task) if task is not None and self.meters else "")

    def mismatch(self, task: Task) -> str:
        """Return why the open model cannot do ``task``; empty when it can."""
        if task.needs == self.capability:
            return ""
        if task.needs == GENERATE:
            return (
                f"The task {task.name} needs a text generator, and the loaded model makes vectors. Open another model."
            )
        return f"The task {task.name} needs an embedding model, and the loaded model writes text. Open another model."
