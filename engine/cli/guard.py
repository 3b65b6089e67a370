"""A process that looks after a command: one whose every thread is held up by a single call cannot obey a signal itself."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

from engine.telemetry.activity import END_OF_SLOTS, SUFFIX

SECONDS = 5.0
"""After a signal, for which the command may say nothing."""

# Reads the numbers of signals and signs of life, hands the first on, and ends with the command.
_PROGRAM = """
import os, select, signal, sys, time
parent, seconds, place, offset = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], int(sys.argv[4])
asked = False
while True:
    if asked and not select.select([0], [], [], seconds)[0]:
        if os.getppid() == parent:
            try:
                if place:
                    file = os.open(place, os.O_WRONLY)
                    os.pwrite(file, b"%.3f" % time.monotonic(), offset)
            except OSError:
                pass
            os.kill(parent, signal.SIGKILL)
            os.write(2, b"Interrupted, by force: one call had held up all others. The same command goes on.\\n")
        break
    data = os.read(0, 64)
    if not data:
        break
    for number in data:
        if number in (signal.SIGINT, signal.SIGTERM):
            asked = True
            os.write(1, bytes([number]))
"""


class Guard:
    """Ends this process when it says nothing for ``SECONDS`` after a signal; the next one learns what it was at then."""

    def __init__(self, journal: str | None) -> None:
        """Start the guard, for a command with this ``journal``; raises OSError where there can be none."""
        if sys.platform == "win32" or getattr(sys, "frozen", False):
            raise OSError("no guard here")
        place = "" if journal is None else os.path.abspath(journal) + SUFFIX
        arguments = [str(os.getpid()), str(SECONDS), place, str(END_OF_SLOTS)]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl+C is not for it
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.write, self.read = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self.write, False)

    def alive(self) -> None:
        """Say that this process still obeys."""
        with contextlib.suppress(OSError, ValueError):
            os.write(self.write, b"\0")

    def close(self) -> None:
        """End the guard."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()  # it reads the end at once, and its own end is what the thread that reads from it waits for

    def forget(self) -> None:
        """Let go of what the guard has said, once nobody reads it any more."""
        assert self._process.stdout is not None
        self._process.stdout.close()
