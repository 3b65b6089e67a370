"""Who is at the other end of a local socket, and folders that nobody else may look into."""

from __future__ import annotations

import os
import socket
import stat
import struct
import sys

_UNKNOWN = -1
_LOCAL_PEERCRED = 1  # <sys/un.h> of macOS and the BSDs, at level 0 (SOL_LOCAL)


def uid_of(descriptor: int) -> int:
    """Return the user id of the process that holds the other end of a connected local socket, -1 when unknown."""
    if sys.platform == "win32":
        return _UNKNOWN
    try:
        with socket.socket(fileno=os.dup(descriptor)) as peer:
            if sys.platform == "linux":
                credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
                return struct.unpack("3i", credentials)[1]  # pid, uid, gid: unix(7)
            credentials = peer.getsockopt(0, _LOCAL_PEERCRED, 128)
            return struct.unpack_from("=II", credentials)[1]  # struct xucred: version, uid, groups
    except (OSError, struct.error):
        return _UNKNOWN


def is_own(descriptor: int) -> bool:
    """Return whether the other end is a process of this user.

    Windows tells no user id; there the pipe itself lets nobody else in (QLocalServer.UserAccessOption).
    """
    return sys.platform == "win32" or uid_of(descriptor) == os.geteuid()


def is_private(folder: str) -> bool:
    """Return whether ``folder`` is a real folder of this user that nobody else may enter."""
    if sys.platform == "win32":
        return os.path.isdir(folder)
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def make_private(folder: str) -> None:
    """Make ``folder`` and shut it for all other users; raises OSError when there is none afterwards.

    A disk that knows no owners (a stick) or a folder of somebody else stays as it is.
    """
    os.makedirs(folder, mode=0o700, exist_ok=True)
    if sys.platform != "win32" and os.stat(folder).st_uid == os.geteuid():
        try:
            os.chmod(folder, 0o700)
        except OSError:
            return
