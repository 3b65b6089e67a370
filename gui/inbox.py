"""What the engine has sent and the window has not taken in yet: a share at a time, so that no event takes long."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QTimer

from engine.api import Frames, ProtocolError, Snapshot

BUDGET = 0.03
"""Seconds for which messages are taken in one event; a message that has begun is taken whole."""

ROWS_A_TICK = 2_000
"""Changed rows merged into the piles in one tick, at ten ticks a second: what an engine tells in one full snapshot."""


class Inbox(QObject):
    """Cuts a byte stream into messages and hands them on, the rest of them in later events."""

    def __init__(
        self, take: Callable[[Any], None], broken: Callable[[ProtocolError], None], parent: QObject | None = None
    ) -> None:
        """Hand messages to ``take``, and to ``broken`` why there can be no more."""
        super().__init__(parent)
        self._take, self._broken = take, broken
        self._frames = Frames()
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.timeout.connect(self._work)

    def clear(self) -> None:
        """Forget everything: another stream begins."""
        self._frames = Frames()
        self._later.stop()

    def add(self, data: bytes) -> None:
        """Take in what arrived, as far as there is time for it now."""
        self._frames.add(data)
        self._work()

    def finish(self) -> None:
        """Take in all that is left, however long it takes: the stream has ended."""
        self._work(float("inf"))

    def _work(self, budget: float = BUDGET) -> None:
        self._later.stop()
        frames, end = self._frames, time.monotonic() + budget
        try:
            for message in frames.messages():
                self._take(message)
                if frames is not self._frames:
                    return  # taking the message has ended the stream
                if time.monotonic() > end:
                    self._later.start()
                    return
        except ProtocolError as error:
            self.clear()
            self._broken(error)


class Snapshots:
    """Snapshots that arrived and wait for a tick, in their order."""

    def __init__(self) -> None:
        """Start with none."""
        self._waiting: list[Snapshot] = []

    def append(self, snapshot: Snapshot) -> None:
        """Let one more wait."""
        self._waiting.append(snapshot)

    def due(self) -> list[Snapshot]:
        """Take out those that one tick may merge; at least one if any waits."""
        rows = count = 0
        while count < len(self._waiting) and rows < ROWS_A_TICK:
            rows += sum(len(told.rows) for told in self._waiting[count].rows)
            count += 1
        due, self._waiting = self._waiting[:count], self._waiting[count:]
        return due
