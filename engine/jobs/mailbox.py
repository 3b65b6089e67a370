"""An actor's mailbox and its thread: what is posted is done in order, one thing at a time, by nobody else."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from engine.api.threads import name_this_thread
from engine.errors import HeddleError

T = TypeVar("T")
M = TypeVar("M")

log = logging.getLogger(__name__)

TURN = 256
"""Messages that are handled before ``settle`` is called in any case."""


class _Question:
    """A function that somebody wants to be called on the mailbox's thread."""

    __slots__ = ("function", "future")

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.future: Future[Any] = Future()

    def answer(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self.function())
        except BaseException as error:  # noqa: BLE001 - it belongs to the one who asked
            self.future.set_exception(error)

    def refuse(self) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(HeddleError("The engine is closing."))


class Mailbox(Generic[M]):
    """Messages for one thread, which hands them to ``handle`` and calls ``settle`` once for all that had come."""

    def __init__(self, name: str, handle: Callable[[M], None], settle: Callable[[], float | None]) -> None:
        """Start the thread ``name``; ``settle`` returns the seconds after which it wants to be called anyway, or None."""
        self._queue: queue.SimpleQueue[M | _Question | None] = queue.SimpleQueue()
        self._handle, self._settle = handle, settle
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(name,), name=name, daemon=True)
        self._thread.start()

    def post(self, message: M) -> None:
        """Leave a message; returns at once."""
        self._queue.put(message)

    def call(self, function: Callable[[], T]) -> T:
        """Return what ``function`` returns on the mailbox's thread; raises what it raises, HeddleError when closed."""
        if threading.current_thread() is self._thread:
            return function()
        return self.ask(function).result()

    def ask(self, function: Callable[[], T]) -> Future[T]:
        """Let ``function`` run on the mailbox's thread; the future gives what it returns."""
        question = _Question(function)
        self._queue.put(question)
        if self._closed.is_set():  # nobody reads any more
            self._refuse()
        return question.future

    def close(self, seconds: float) -> bool:
        """Do what was posted so far and end the thread; False when ``seconds`` were not enough."""
        self._queue.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _refuse(self) -> None:
        while True:
            try:
                left = self._queue.get_nowait()
            except queue.Empty:
                return
            if isinstance(left, _Question):
                left.refuse()

    def _run(self, name: str) -> None:
        name_this_thread(name)
        patience: float | None = None
        while self._turn(patience):
            try:
                patience = self._settle()
            except Exception:
                log.exception("%s: settling failed", name)
        self._closed.set()
        self._refuse()

    def _turn(self, patience: float | None) -> bool:
        """Handle what has come, at least one message unless ``patience`` ends; False at the end of the mailbox."""
        try:
            message = self._queue.get(timeout=patience)
            for _ in range(TURN):
                if message is None:
                    return False
                self._do(message)
                message = self._queue.get_nowait()
            if message is None:
                return False
            self._do(message)
        except queue.Empty:
            pass
        return True

    def _do(self, message: M | _Question) -> None:
        try:
            if isinstance(message, _Question):
                message.answer()
            else:
                self._handle(message)
        except Exception:
            log.exception("a message could not be handled")
