"""The hold of one process on a journal: a lock that ends with the process, and a list of what is in work."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import sys
import threading
from collections.abc import Iterable

from engine.api.private_files import make_private
from engine.errors import HeddleError
from engine.store.cells import shown
from engine.store.disk import aside_name

SUFFIX = ".lock"
"""The lock's name is the journal's with this behind it."""

_FAR = 1 << 30
"""Where Windows, whose locks keep others from reading, locks a byte; nothing is ever written there."""
_ROOM = 1 << 20
"""Bytes above which the list of what is in work is written anew."""
_LONGEST = 4 * _ROOM
"""Bytes of a list that are read; no list that was written here is longer."""
_LARGEST = 1 << 62
"""No document has a larger number."""


class JournalBusy(HeddleError):
    """Another process, or another engine of this one, has the journal open."""


class Hold:
    """A lock file beside a journal, held by the operating system's lock and not by its being there.

    The lock ends with the process, however that ends; no number of a process is ever believed. The file is removed at
    an orderly end, so one that is found tells that its holder died, and what it had in work: the file also takes the
    documents that workers take, and those that come back. That is a plain write without a sync, some microseconds: it
    survives the death of the process, which is what it is for, and need not survive a power loss.
    """

    def __init__(self, journal: str) -> None:
        """Take the hold on ``journal``; raises JournalBusy when somebody has it, OSError when the file cannot be made."""
        self._path = journal + SUFFIX
        self._gate = threading.Lock()
        self._flying: set[int] = set()
        self._size = 0
        self._file: int | None = _locked(self._path, journal)
        data = b""
        while len(data) < _LONGEST and (piece := os.read(self._file, _ROOM)):
            data += piece
        self.token, self.left = _parse(data)
        """Names the holder before, and the documents that it had in work when it died; empty after an orderly end."""

    @property
    def abandoned(self) -> bool:
        """Whether the holder before died."""
        return bool(self.token)

    def begin(self) -> None:
        """Forget what the holder before left, and begin a list of one's own."""
        with self._gate:
            self._flying.clear()
            self._rewrite(secrets.token_hex(8))

    def take(self, documents: Iterable[int]) -> None:
        """Note that these documents are in work now."""
        with self._gate:
            numbers = [number for number in documents if number not in self._flying]
            self._flying.update(numbers)
            self._append("+", numbers)

    def land(self, documents: Iterable[int]) -> None:
        """Note that these documents are not in work any more."""
        with self._gate:
            numbers = [number for number in documents if number in self._flying]
            self._flying.difference_update(numbers)
            self._append("-", numbers)

    def land_all(self) -> None:
        """Note that nothing is in work: what is cut off from now on is cut off on purpose."""
        self.land(list(self._flying))

    def release(self, *, keep: bool = False) -> None:
        """Let go, and remove the file unless ``keep``; the journal may be held by another process from now on."""
        with self._gate:
            if self._file is None:
                return
            file, self._file = self._file, None
            if sys.platform == "win32":  # no open file can be removed there
                os.close(file)
                file = None
            if not keep:
                with contextlib.suppress(OSError):
                    os.unlink(self._path)
            if file is not None:  # only now: whoever waits for the lock finds that the name is gone
                os.close(file)

    def _rewrite(self, token: str) -> None:
        self.token = token
        self._size = 0
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, 0)
            self._write(f"{os.getpid()} {token}\n")
            if self._flying:
                self._write(" ".join(f"+{number}" for number in self._flying) + "\n")

    def _append(self, sign: str, numbers: list[int]) -> None:
        if self._file is None or not numbers:
            return
        # A full disk costs the knowledge of what was in work when the engine died, and nothing else.
        with contextlib.suppress(OSError):
            self._write(" ".join(f"{sign}{number}" for number in numbers) + "\n")
        if self._size > _ROOM:
            self._rewrite(self.token)

    def _write(self, text: str) -> None:
        assert self._file is not None
        data = text.encode("ascii")
        os.lseek(self._file, self._size, os.SEEK_SET)
        self._size += os.write(self._file, data)


class NoHold:
    """The hold on a journal in memory, which nobody else can have."""

    token = ""
    left: frozenset[int] = frozenset()
    abandoned = False

    def begin(self) -> None:
        """Nothing to forget."""

    def take(self, documents: Iterable[int]) -> None:
        """Nothing outlives this process, so nothing is noted."""

    def land(self, documents: Iterable[int]) -> None:
        """Nothing was noted."""

    def land_all(self) -> None:
        """Nothing was noted."""

    def release(self, *, keep: bool = False) -> None:
        """Nothing to let go."""


def _locked(path: str, journal: str) -> int:
    """Open the lock file and lock it; returns its descriptor."""
    _clear_the_place(path)
    flags = os.O_RDWR | os.O_CREAT
    for name in ("O_CLOEXEC", "O_BINARY", "O_NOFOLLOW", "O_NONBLOCK"):  # not all systems have all of them
        flags |= getattr(os, name, 0)
    while True:
        file = os.open(path, flags, 0o600)
        try:
            _lock(file)
            # The holder before may have removed the name between our open and our lock.
            found, named = os.fstat(file), os.stat(path)
            if (found.st_dev, found.st_ino) == (named.st_dev, named.st_ino):
                return file
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(file)
            if error.errno in {errno.EACCES, errno.EAGAIN, errno.EDEADLK}:
                raise JournalBusy(
                    f"The journal {shown(journal)} is in use by another run of Heddle. "
                    "Wait until that has ended, or stop it, and try again."
                ) from error
            raise
        os.close(file)


def _clear_the_place(path: str) -> None:
    """Move away what has the lock's name and is no file: a folder, a link, a pipe. Who holds a lock holds a file."""
    try:
        kind = os.lstat(path).st_mode
    except OSError:
        return
    if stat.S_ISREG(kind):
        make_private(path)
        return
    os.replace(path, aside_name(path, "damaged"))


def _lock(file: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(file, _FAR, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)
        return
    import fcntl

    # Not lockf: a process loses that lock when any part of it closes any descriptor of the file.
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _parse(data: bytes) -> tuple[str, frozenset[int]]:
    """Return the token and the documents in work that a dead holder's file tells of; a torn last line is left out."""
    lines = data.decode("ascii", "replace").split("\n")[:-1]
    if not lines or len(lines[0].split()) != 2:
        return "", frozenset()
    flying: set[int] = set()
    for line in lines[1:]:
        for word in line.split():
            if word[:1] in {"+", "-"} and word[1:].isdigit() and len(word) < 20 and int(word[1:]) < _LARGEST:
                (flying.add if word[0] == "+" else flying.discard)(int(word[1:]))
    return lines[0].split()[1], frozenset(flying)
