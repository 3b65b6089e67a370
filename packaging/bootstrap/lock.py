"""A lock between two starts at once, held by the operating system: a start that dies cannot leave it behind."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

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


class InstallLock:
    """Held while the environment is changed; ``descriptor`` may be handed to a child, which then holds it too."""

    def __init__(self, path: str, say: Callable[[str], None]) -> None:
        self._path = path
        self._say = say
        self.descriptor = -1

    def __enter__(self) -> Self:
        """Wait until nobody else changes the environment; raise SetupError if the folder cannot be written."""
        try:
            self.descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            folder = os.path.dirname(self._path)
            message = (
                f"Heddle cannot write in its own folder, {folder} ({error.strerror}). Move it where you may write."
            )
            raise SetupError(message) from error
        if not _try_lock(self.descriptor):
            holder = os.read(self.descriptor, 32).decode(errors="replace").strip() or "unknown"
            self._say(f"Another start.py (process {holder}) is installing; waiting for it ...")
            while not _try_lock(self.descriptor):
                time.sleep(POLL_SECONDS)
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        os.truncate(self.descriptor, 0)
        os.write(self.descriptor, f"{os.getpid()}\n".encode())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)
        self.descriptor = -1
