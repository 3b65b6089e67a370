"""A worker's inbox: the coordinator puts assignments in, the worker takes them out, and neither waits for the other."""

from __future__ import annotations

import queue

from engine.workers.assignment import Assignment


class Inbox:
    """Assignments for one worker, in order; ``None`` at its end tells the worker to stop."""

    def __init__(self) -> None:
        """Start empty."""
        self._queue: queue.SimpleQueue[Assignment | None] = queue.SimpleQueue()

    def put(self, assignment: Assignment) -> None:
        """Hand over an assignment."""
        self._queue.put(assignment)

    def close(self) -> list[Assignment]:
        """Tell the worker to end after what it is doing; returns the assignments that it had not begun."""
        left = self.take_back()
        self._queue.put(None)
        return left

    def take_back(self) -> list[Assignment]:
        """Return the assignments that the worker has not begun, and take them away from it."""
        left: list[Assignment] = []
        while True:
            try:
                assignment = self._queue.get_nowait()
            except queue.Empty:
                return left
            if assignment is None:
                self._queue.put(None)
                return left
            left.append(assignment)

    def get(self, *, wait: bool) -> tuple[Assignment | None, bool]:
        """Return the next assignment, if any, and whether the worker goes on; called by the worker alone."""
        try:
            assignment = self._queue.get() if wait else self._queue.get_nowait()
        except queue.Empty:
            return None, True
        return assignment, assignment is not None
