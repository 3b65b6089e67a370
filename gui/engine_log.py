"""What the engine process writes to its standard error: kept for a report, logged, and heard for its last words."""

from __future__ import annotations

import logging
from collections import deque

from gui.last_words import LastWords

ENGINE_LOG = "engine process"
"""Name of the logger that gets the lines of the engine's standard error."""

LOG_LINES = 200
"""How many lines of the engine's standard error are kept."""

_log = logging.getLogger(ENGINE_LOG)


class EngineLog:
    """The last lines of one engine after the other."""

    def __init__(self) -> None:
        """Know of none."""
        self._lines: deque[str] = deque(maxlen=LOG_LINES)
        self._last_words = LastWords()
        self._half_line = ""

    @property
    def lines(self) -> list[str]:
        """The last lines, of all engines."""
        return list(self._lines)

    def begin(self) -> None:
        """Another process begins."""
        self._last_words.begin()
        self._half_line = ""

    def add(self, data: bytes) -> None:
        """Take in what a process wrote."""
        text = self._half_line + data.decode("utf-8", "replace")
        *lines, self._half_line = text.split("\n")
        for line in lines:
            line = line.rstrip("\r")
            self._lines.append(line)
            self._last_words.hear(line)
            _log.info("%s", line)

    def note(self, line: str) -> None:
        """Keep a line of the window's own."""
        self._lines.append(line)

    def finish(self) -> None:
        """Take in a last line that has no end."""
        self._last_words.hear(self._half_line)

    def last_words(self) -> str:
        """Return what the process that ended wrote about its end, "" for nothing."""
        return self._last_words.said()
