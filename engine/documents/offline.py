"""Tells a file that is gone from a disk or share that is gone."""

from __future__ import annotations

import errno
import os

_AWAY = {
    getattr(errno, name)
    for name in ("EIO", "ENODEV", "ENXIO", "ENOTCONN", "ESTALE", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN")
    if hasattr(errno, name)
}
_GONE = {errno.ENOENT, errno.ENOTDIR}


def device_of(folder: str) -> int | None:
    """Return the number of the file system that ``folder`` is on, None when it cannot be looked at."""
    try:
        return os.stat(folder).st_dev
    except OSError:
        return None


def is_offline(path: str, error: OSError, device: int | None) -> bool:
    """Tell whether ``error`` about ``path`` means that its source went away, rather than this one file.

    So it is when the system says that the device or the share does not answer, when the folder is gone with all that
    was in it, and when the folder is on another file system than ``device``, the one it was on before: what is left of
    a disk that was unmounted is an empty folder.
    """
    if error.errno in _AWAY:
        return True
    if error.errno not in _GONE:
        return False
    now = device_of(os.path.dirname(os.path.abspath(path)))
    return now is None or (device is not None and now != device)
