"""The disk under a file: how much room it has, and how a name is made to last."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time


def free_bytes(path: str) -> int | None:
    """Return the bytes free on the disk that holds ``path`` (the file need not exist), or None when unknown."""
    try:
        return shutil.disk_usage(os.path.dirname(os.path.abspath(path))).free
    except OSError:
        return None


def size_text(count: int) -> str:
    """Return ``count`` bytes in the unit a person would say: ``812 bytes``, ``4.2 MB`` (powers of 1,000)."""
    if count < 1000:
        return f"{count} bytes"
    size = float(count)
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"


def free_text(path: str) -> str:
    """Return the room on the disk of ``path`` as ``4.2 MB free``, or ``free space unknown``."""
    free = free_bytes(path)
    return "free space unknown" if free is None else f"{size_text(free)} free"


def sync_folder(path: str) -> None:
    """Make a rename of ``path`` survive a power loss by syncing its folder, where the system knows how."""
    if sys.platform == "win32":  # a folder cannot be opened there, and NTFS journals its names
        return
    # A rename that worked is not undone because a file system (some network shares) refuses to sync folders.
    with contextlib.suppress(OSError):
        folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def aside_name(path: str, why: str) -> str:
    """Return a name that is free beside ``path``: ``X.damaged-20260731-142530``, with a number behind it if need be."""
    base = f"{path}.{why}-{time.strftime('%Y%m%d-%H%M%S')}"
    name, number = base, 1
    while any(os.path.lexists(name + end) for end in ("", "-wal", "-shm")):
        number += 1
        name = f"{base}-{number}"
    return name
