"""Temporary files and folders of exports: held while they are written, so that what a killed export left can be told and removed."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import sys

_NAME = re.compile(r"\.heddle-[0-9a-f]{16}\.tmp")


def beside(target: str) -> str:
    """Return a new name beside ``target``; a short one, the target's may already have the 255 bytes that a name can have."""
    return os.path.join(os.path.dirname(target), f".heddle-{secrets.token_hex(8)}.tmp")


def hold(descriptor: int) -> bool:
    """Lock a temporary file or folder for as long as ``descriptor`` is open; False where another process has it."""
    if sys.platform == "win32":  # what is open cannot be removed there
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a disk without locks: what lies there may be in use
        return False
    return True


def sweep(folder: str) -> int:
    """Remove what killed exports left in ``folder``, and nothing that is being written; returns how many there were."""
    count = 0
    with contextlib.suppress(OSError), os.scandir(folder or ".") as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) and not entry.is_symlink():
                with contextlib.suppress(OSError):
                    count += _remove(entry.path, folder=entry.is_dir(follow_symlinks=False))
    return count


def _remove(path: str, *, folder: bool) -> bool:
    if sys.platform == "win32":
        if not folder:
            os.unlink(path)
        return not folder
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(path, flags)
    try:
        if not hold(descriptor):
            return False
        shutil.rmtree(path) if folder else os.unlink(path)
        return True
    finally:
        os.close(descriptor)
