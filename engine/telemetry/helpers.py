"""Threads that help the engine beside its workers: each call has one to itself, so that one that never returns holds up none.

Unlike those of ThreadPoolExecutor they are daemons: nobody waits for them at the end of the process.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from engine.api.threads import name_this_thread

T = TypeVar("T")

IDLE_SECONDS = 5.0
"""A thread without work ends after this time."""


class Helpers(Executor):
    """As many threads as there are calls under way, up to ``most``; beyond that calls wait in line."""

    def __init__(self, name: str, most: int) -> None:
        """Start no thread yet; ``name`` is what its threads are called."""
        self._name, self._most = name, most
        self._change = threading.Condition()
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._threads = self._idle = 0
        self._closed = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have ``fn`` called on a thread; the future gives what it returns, or is cancelled when the engine closes."""
        future: Future[T] = Future()
        with self._change:
            if self._closed:
                future.cancel()
                return future
            self._calls.append((future, lambda: fn(*args, **kwargs)))
            if len(self._calls) > self._idle and self._threads < self._most:
                self._threads += 1
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
            else:
                self._change.notify()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; with ``wait``, return when the last one has ended."""
        with self._change:
            self._closed = True
            left = list(self._calls) if cancel_futures else []
            if cancel_futures:
                self._calls.clear()
            self._change.notify_all()
        for future, _ in left:
            future.cancel()
            future.set_running_or_notify_cancel()
        if wait:
            self.ended(None)

    def ended(self, seconds: float | None) -> bool:
        """Wait until no thread is left after ``shutdown``; False when ``seconds`` were not enough."""
        with self._change:
            return self._change.wait_for(lambda: not self._threads, seconds)

    def _run(self) -> None:
        name_this_thread(self._name)
        while (call := self._next()) is not None:
            future, fn = call
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = fn()
            except BaseException as error:  # noqa: BLE001 - it is raised again where the future is asked
                future.set_exception(error)
            else:
                future.set_result(result)
            del call, future, fn  # nothing is kept alive while the thread waits

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        end = time.monotonic() + IDLE_SECONDS
        with self._change:
            self._idle += 1
            try:
                while not self._calls:
                    left = end - time.monotonic()
                    if self._closed or left <= 0:
                        self._threads -= 1
                        self._change.notify_all()
                        return None
                    self._change.wait(left)
                return self._calls.popleft()
            finally:
                self._idle -= 1


class InTurn:
    """Calls that belong to one thing are made one after the other, those of others beside them."""

    def __init__(self, helpers: Helpers) -> None:
        """Make the calls on ``helpers``."""
        self._helpers = helpers
        self._lock = threading.Lock()
        self._lines: dict[Hashable, deque[tuple[Future[Any], Callable[[], Any]]]] = {}

    def submit(self, of: Hashable, fn: Callable[..., T], /, *args: Any) -> Future[T]:
        """Have ``fn`` called once all earlier calls for ``of`` have ended."""
        future: Future[T] = Future()
        call = (future, lambda: fn(*args))
        with self._lock:
            line = self._lines.get(of)
            if line is not None:
                line.append(call)
                return future
            self._lines[of] = deque([call])
        if self._helpers.submit(self._work, of).cancelled():
            future.cancel()
        return future

    def _work(self, of: Hashable) -> None:
        while True:
            with self._lock:
                line = self._lines[of]
                if not line:
                    del self._lines[of]
                    return
                future, fn = line.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(fn())
            except BaseException as error:  # noqa: BLE001 - as above
                future.set_exception(error)
