"""Files that only their owner may read: journals, logs, settings. On Windows folders of a user are private already."""

from __future__ import annotations

import contextlib
import os
import stat
import sys

RIGHTS = 0o600
"""Rights of a file that nobody else may read, whatever the umask."""


def make_private(path: str) -> None:
    """Take the rights of others on the file ``path`` away; one that is not there, or is somebody else's, stays as it is."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        found = os.lstat(path)
        rights = stat.S_IMODE(found.st_mode)
        if stat.S_ISREG(found.st_mode) and rights & ~RIGHTS:
            os.chmod(path, rights & RIGHTS)


def create_private(path: str) -> None:
    """Make an empty file that only its owner may read, unless there is one already; raises OSError."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | getattr(os, "O_CLOEXEC", 0), RIGHTS))
    make_private(path)


def opener(path: str, flags: int) -> int:
    """Open a file for ``open(..., opener=opener)`` so that only its owner may read it."""
    made = os.open(path, flags | getattr(os, "O_CLOEXEC", 0), RIGHTS)
    make_private(path)
    return made
