"""SIGINT and SIGTERM of a command: obeyed in good order where that works, and within seconds where something hangs."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from types import FrameType
from typing import Any, Self, TypeVar, cast

from engine.api.activity import Activity
from engine.cli.guard import Guard
from engine.errors import Cancelled, HeddleError

T = TypeVar("T")

LAST_RESORT = 4.0
"""Seconds after a signal at which a command that has not ended is ended by force."""
CLOSING = 0.8
"""Seconds for which that waits for the journal to be closed."""
WRITING = 30.0
"""Seconds that an export which goes on is granted on top."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class DidNotEnd(HeddleError):
    """Work that nobody asked to stop has not gone on for as long as the user is patient."""

    def __init__(self, activities: tuple[Activity, ...]) -> None:
        """Blame ``activities``."""
        super().__init__("Some work did not end.")
        self.activities = activities


class Interrupts:
    """Takes the signals of the main thread for a block; elsewhere whoever hosts us handles them.

    ``force`` is called on a thread of its own when the command has not ended ``LAST_RESORT`` seconds after a signal; it
    should close what must be closed, and the process ends with the exit code ``code`` when it has returned, or soon
    after. ``writes`` tells whether an export is under way and goes on.
    """

    def __init__(
        self, code: int, force: Callable[[], None], writes: Callable[[], bool], journal: str | None = None
    ) -> None:
        """Do nothing yet; ``journal`` is that of the command, for its guard."""
        self.seen = False
        """Whether a signal has come."""
        self._code, self._force, self._writes = code, force, writes
        self._before: dict[int, Any] = {}
        self._journal, self._guard = journal, cast("Guard | None", None)
        self._pipe: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None
        self._wakeup = -1
        self._ended = False

    def __enter__(self) -> Self:
        """Take the signals."""
        if threading.current_thread() is threading.main_thread():
            try:
                self._guard = Guard(self._journal)
                read, write = self._guard.read, self._guard.write
            except OSError:  # signals that come while one call holds up all others are obeyed after it
                read, write = self._pipe = os.pipe()
                os.set_blocking(write, False)
            # The number of a signal is written here at once, also while the main thread hangs in a call.
            self._wakeup = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
            self._thread = threading.Thread(target=self._watch, args=(read,), name="interrupts", daemon=True)
            self._thread.start()
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back."""
        self._ended = True
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._pipe is not None or self._guard is not None:
            signal.set_wakeup_fd(self._wakeup)
        if self._guard is not None:
            self._guard.close()
            if self._thread is not None:
                self._thread.join()
            self._guard.forget()
        elif self._pipe is not None:
            os.close(self._pipe[1])  # the thread reads the end and ends

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.seen = True
        signal.signal(number, self._before[number])  # the second one of a kind acts as usual

    def _watch(self, read: int) -> None:
        while not self.seen:
            try:
                data = os.read(read, 1)
            except OSError:
                return
            if not data:
                break
            self.seen = data[0] in _SIGNALS
        if self._guard is None:
            os.close(read)
        if not self.seen:
            return
        begin = time.monotonic()
        while not self._ended:
            passed = time.monotonic() - begin
            if passed > LAST_RESORT and not (passed < WRITING and self._writes()):
                break
            if self._guard is not None:
                self._guard.alive()
            time.sleep(0.05)
        if self._ended:
            return
        closer = threading.Thread(target=self._force, name="last resort", daemon=True)
        closer.start()
        closer.join(CLOSING)
        os._exit(self._code)

    def wait(self, future: Future[T], overdue: Callable[[], bool]) -> bool:
        """Wait for ``future``, whose error is raised; False once ``overdue``, asked meanwhile, tells not to wait longer.

        Raises Cancelled at a signal, and whatever ``overdue`` raises.
        """
        while not wait([future], 0.1).done:
            if self.seen:
                raise Cancelled("Interrupted.")
            if overdue():
                return False
        future.result()
        return True

    def result(self, future: Future[T], overdue: Callable[[], bool]) -> T:
        """Return what ``future`` gives; raises as ``wait`` does."""
        while not self.wait(future, lambda: overdue() and False):
            pass
        return future.result()
