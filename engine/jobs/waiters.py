"""Who waits for something to be so: conditions and the futures that tell of them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future


class Waiters:
    """Conditions that are asked on one thread, each until it holds, cannot be told, or nobody waits for it any more."""

    def __init__(self, closing: Callable[[], bool]) -> None:
        """Start with none; once ``closing`` is true, everybody is told."""
        self._closing = closing
        self._waiting: list[tuple[Callable[[], bool], Future[None]]] = []

    def add(self, condition: Callable[[], bool], future: Future[None]) -> None:
        """Finish ``future`` as soon as ``condition`` holds, which may be now."""
        if not self._is_told(condition, future):
            self._waiting.append((condition, future))

    def tell(self) -> None:
        """Finish the futures whose conditions hold by now."""
        self._waiting = [waiter for waiter in self._waiting if not self._is_told(*waiter)]

    def _is_told(self, condition: Callable[[], bool], future: Future[None]) -> bool:
        """Finish ``future`` if its condition holds, or cannot be told; tells whether it is waited for no more."""
        problem: Exception | None = None
        try:
            if not (self._closing() or condition()):
                return future.cancelled()
        except Exception as error:  # noqa: BLE001 - it belongs to the one who asked
            problem = error
        if future.set_running_or_notify_cancel():  # whoever gives up waiting does so before this, or not at all
            future.set_result(None) if problem is None else future.set_exception(problem)
        return True
