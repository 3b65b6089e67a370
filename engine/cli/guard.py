"""A process that looks after a command: one whose every thread is held up by a single call cannot obey a signal itself."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

from engine.cli import guard_child
from engine.installation import frozen, process_command
from engine.telemetry.activity import END_OF_SLOTS, SUFFIX

SECONDS = 5.0
"""After a signal, for which the command may say nothing."""


class Guard:
    """Ends this process when it says nothing for ``SECONDS`` after a signal; the next one learns what it was at then."""

    def __init__(self, journal: str | None) -> None:
        """Start the guard, for a command with this ``journal``; raises OSError where there can be none."""
        if sys.platform == "win32":
            raise OSError("no guard here")
        place = "" if journal is None else os.path.abspath(journal) + SUFFIX
        arguments = [str(os.getpid()), str(SECONDS), place, str(END_OF_SLOTS)]
        # From source it is run as a file, which starts sooner than a module that has to be found.
        start = (
            process_command(guard_child.__name__) if frozen() else [sys.executable, "-I", "-S", guard_child.__file__]
        )
        self._process = subprocess.Popen(
            [*start, *arguments],
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
