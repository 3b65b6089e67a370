"""A lock between two starts at once, held by the operating system: a start that dies cannot leave it behind."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator

from bootstrap import SetupError

POLL_SECONDS = 0.2
_AT = 1 << 30  # Windows locks a byte, not a file: one far behind the text, which stays readable to the waiting process


def _try_lock(descriptor: int) -> bool:
    """Return whether the lock was free and is now ours."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, _AT, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True  # a file system without locks (some network drives): go on as if alone
    return True


@contextlib.contextmanager
def install_lock(path: str, say: Callable[[str], None]) -> Iterator[int]:
    """Hold the lock while the environment is changed; its descriptor may be handed to a child, which holds it too.

    Waits until nobody else does; raises SetupError if the folder cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        message = f"Heddle cannot write in its own folder, {os.path.dirname(path)} ({error.strerror}). Move it where you may write."
        raise SetupError(message) from error
    try:
        if not _try_lock(descriptor):
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            say(f"Another start.py (process {holder}) is installing; waiting for it ...")
            while not _try_lock(descriptor):
                time.sleep(POLL_SECONDS)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield descriptor
    finally:
        os.close(descriptor)
