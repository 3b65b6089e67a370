"""Standard streams that may be closed, before the start or while the program runs."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TextIO


class Forgiving(io.TextIOBase):
    """Passes text on to a stream for as long as somebody reads it: what is said on the way must not end the work."""

    def __init__(self, stream: TextIO | None) -> None:
        """Write to ``stream``, if there is one."""
        super().__init__()
        self._stream = stream

    def write(self, text: str, /) -> int:
        """Write ``text``, or nothing; returns its length."""
        with contextlib.suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Hand on what waits."""
        with contextlib.suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.flush()

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """Return the stream's descriptor; raises OSError where there is none."""
        return super().fileno() if self._stream is None else self._stream.fileno()

    def reconfigure(self, **options: str) -> None:
        """Set how the stream encodes."""
        if isinstance(self._stream, io.TextIOWrapper):
            self._stream.reconfigure(errors=options.get("errors"))


def secure() -> None:
    """Let this process live with standard streams that are closed.

    Something harmless takes the place of descriptors that were closed before the start: else the next file that is
    opened, which may be the journal, would get their number, and what a library prints.
    """
    with contextlib.suppress(OSError):
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(number)
    sys.stderr = Forgiving(sys.stderr)


def drop_output() -> None:
    """Send what is still to be written to standard output nowhere: its reader has gone."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
