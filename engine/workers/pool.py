"""The workers on a QThreadPool of their own. The only place in the engine that knows Qt."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtCore import QRunnable, QThreadPool

log = logging.getLogger(__name__)


class _WorkerRunnable(QRunnable):
    """Carries one worker's loop to a thread; owns no QObject, since it is destroyed on that thread (GUI law 2)."""

    def __init__(self, loop: Callable[[], None], ended: Callable[[BaseException | None], None]) -> None:
        super().__init__()
        self._loop = loop
        self._ended = ended

    def run(self) -> None:
        """Run the loop; PySide swallows exceptions of pool threads, so they are caught and told here."""
        problem: BaseException | None = None
        try:
            self._loop()
        except BaseException as error:
            log.exception("a worker ended with an error")
            problem = error
        self._ended(problem)


class WorkerPool:
    """As many threads as workers, which live as long as the plan.

    New threads would make OpenMP build new worker teams and leak the old ones, so threads never expire (law 4).
    """

    def __init__(self, loops: Sequence[Callable[[], None]], broke: Callable[[int, BaseException], None]) -> None:
        """Start every loop on a thread; ``broke`` is called there with its index if a loop ends with an error."""
        self._broke = broke
        self._alive = len(loops)
        self._change = threading.Condition()
        self._pool = QThreadPool()
        self._pool.setExpiryTimeout(-1)
        self._pool.setMaxThreadCount(max(1, len(loops)))
        for index, loop in enumerate(loops):
            self._pool.start(_WorkerRunnable(loop, partial(self._ended, index)))

    def _ended(self, index: int, problem: BaseException | None) -> None:
        with self._change:
            self._alive -= 1
            self._change.notify_all()
        if problem is not None:
            self._broke(index, problem)

    def wait(self, seconds: float) -> bool:
        """Wait until every loop has ended; False when ``seconds`` were not enough."""
        # Waited for in Python first: workers need the interpreter to end, and Qt's own wait may hold it.
        with self._change:
            if not self._change.wait_for(lambda: self._alive == 0, seconds):
                return False
        return self._pool.waitForDone(1000)
