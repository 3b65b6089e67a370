"""The last words of an engine: of the lines that it wrote, the one that tells why it ended, if there is one."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable

NEAR = 5.0
"""Seconds before the end within which a line may belong to it."""

_LINES = 200
_ORDINARY = re.compile(r"\d{4}-\d\d-\d\d [\d:,.]+ (DEBUG|INFO|WARNING) ")
_TROUBLE = re.compile(r"\d{4}-\d\d-\d\d [\d:,.]+ (?:ERROR|CRITICAL) [\w.]+: (.*)")
_FATAL = re.compile(r"Fatal Python error: .*|terminate called .*|.*\bAborted\b.*|Traceback \(most recent call last\):")


class LastWords:
    """Hears the lines of one process after the other. ``begin`` comes with each process, ``said`` after its end."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Know of no process. ``clock`` gives seconds."""
        self._clock = clock
        self._lines: deque[tuple[float, str]] = deque(maxlen=_LINES)

    def begin(self) -> None:
        """Forget what an earlier process wrote."""
        self._lines.clear()

    def hear(self, line: str) -> None:
        """Take in a line of standard error."""
        if line.strip():
            self._lines.append((self._clock(), line.strip()))

    def said(self) -> str:
        """Return what the process wrote about its end, "" if nothing that it wrote belongs to it.

        That is what it wrote in the last seconds and after its last ordinary line: the message of an error, the first line
        of a fault in native code, or the exception at the end of a traceback.
        """
        now = self._clock()
        block: list[str] = []
        for at, line in reversed(self._lines):
            if now - at > NEAR or _ORDINARY.match(line):
                break
            block.append(line)
        block.reverse()
        if not block:
            return ""
        start = next((n for n, line in enumerate(block) if _FATAL.match(line)), -1)
        if start >= 0 and not block[start].startswith("Traceback"):
            return block[start]
        trouble = _TROUBLE.match(block[-1])
        return trouble[1] if trouble else block[-1]
