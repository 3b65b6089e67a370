"""The process that ``guard`` starts: a program of the standard library alone, so that it starts at once.

Its arguments are the command's process, the seconds that it may be silent after a signal, the file of the journal's
activities (or nothing) and the place in it where the time of the end is written. Numbers of signals and signs of life
come in on standard input; the first are handed on to standard output. It ends with the command.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main(parent: int, seconds: float, place: str, offset: int) -> None:
    """Look after the process ``parent`` until it closes its end."""
    asked = False
    while True:
        if asked and not select.select([0], [], [], seconds)[0]:
            if os.getppid() == parent:
                _end(parent, place, offset)
            return
        data = os.read(0, 64)
        if not data:
            return
        for number in data:
            if number in _SIGNALS:
                asked = True
                os.write(1, bytes([number]))


def _end(parent: int, place: str, offset: int) -> None:
    try:
        if place:
            os.pwrite(os.open(place, os.O_WRONLY), b"%.3f" % time.monotonic(), offset)
    except OSError:
        pass
    os.kill(parent, signal.SIGKILL)
    os.write(2, b"Interrupted, by force: one call had held up all others. The same command goes on.\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
