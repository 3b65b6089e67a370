"""Python's garbage collector on the main thread only, at moments of the window's choosing (law 2)."""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

INTERVAL = 1000
"""Milliseconds between two looks at what has gathered."""

BULK = 10_000
"""New objects between two looks above which they are the rows of a pile, which no collection needs to visit again:
they are in no cycles, and go when their pile does."""

FULL = 30
"""Looks between two full collections at least: a full one visits every row of every pile."""


class Collector(QObject):
    """Switches automatic collection off, which could run on any thread, and collects by a timer instead."""

    def __init__(self, parent: QObject | None = None) -> None:
        """Take over from the automatic collection until close()."""
        super().__init__(parent)
        self._looks = 0
        self._was_enabled = gc.isenabled()
        gc.disable()
        self._timer = QTimer(self)
        self._timer.setInterval(INTERVAL)
        self._timer.timeout.connect(self.look)
        self._timer.start()

    def look(self) -> int:
        """Collect the oldest generation that is due; returns it, or -1."""
        self._looks += 1
        young, middle, old = gc.get_threshold()
        counts = gc.get_count()
        if counts[0] > BULK:
            gc.collect(1)
            gc.freeze()  # a full collection of 100,000 rows would stop the window for 150 ms
            return 1
        if counts[2] > max(old, 10) and self._looks >= FULL:
            self._looks = 0
            gc.collect(2)
            return 2
        if counts[1] > max(middle, 10):
            gc.collect(1)
            return 1
        if counts[0] > max(young, 700):
            gc.collect(0)
            return 0
        return -1

    def close(self) -> None:
        """Give collection back to Python."""
        self._timer.stop()
        if self._was_enabled:
            gc.enable()
