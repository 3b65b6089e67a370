"""Files that only their owner may read: journals, logs, settings. On Windows folders of a user are private already."""

from __future__ import annotations

import contextlib
import os
import stat
import sys

FILE, FOLDER = 0o600, 0o700
"""Rights of a file and of a folder that nobody else may read, whatever the umask."""


def private_folder(path: str) -> None:
    """Make the folder ``path`` unless it is there; in any case only its owner may enter it.

    Raises OSError when it cannot be made.
    """
    os.makedirs(path, mode=FOLDER, exist_ok=True)
    _tighten(path, FOLDER)


def make_private(path: str) -> None:
    """Take the rights of others on the file ``path`` away; one that is not there, or is somebody else's, stays as it is."""
    _tighten(path, FILE)


def create_private(path: str) -> None:
    """Make an empty file that only its owner may read, unless there is one already; raises OSError."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | getattr(os, "O_CLOEXEC", 0), FILE))
    make_private(path)


def opener(path: str, flags: int) -> int:
    """Open a file for ``open(..., opener=opener)`` so that only its owner may read it."""
    made = os.open(path, flags | getattr(os, "O_CLOEXEC", 0), FILE)
    make_private(path)
    return made


def _tighten(path: str, rights: int) -> None:
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        found = os.lstat(path)
        kind = stat.S_ISDIR if rights == FOLDER else stat.S_ISREG
        if kind(found.st_mode) and stat.S_IMODE(found.st_mode) & ~rights:
            os.chmod(path, stat.S_IMODE(found.st_mode) & rights)
