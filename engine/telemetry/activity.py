"""What every helper and worker is doing now, so that it is known who is to blame when one of them does not come back.

The board takes no lock: each thread writes only its own entry, and entries are read as they are. The same is written to
a small file beside the journal, which tells the next process what this one was doing when it was killed, even if a call
that held the interpreter kept it from telling anybody.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

from engine.api.activity import Activity

log = logging.getLogger(__name__)

SUFFIX = ".doing"
"""The file's name is the journal's with this behind it."""

_SLOT = 4096 + 512  # the longest path that systems take, and the rest
_SLOTS = 128
_FIELDS = 7

END_OF_SLOTS = _SLOT * _SLOTS
"""Where in the file stands, as text, when on the monotonic clock somebody ended the process because it did not end."""


class _Entry:
    """A thread's entry: what it is doing, and since when."""

    __slots__ = ("activity", "since", "slot")

    def __init__(self, activity: Activity, slot: int) -> None:
        self.activity, self.slot = activity, slot
        self.since = time.monotonic()


class Board:
    """What the threads of one engine are doing. All methods may be called from any thread; none waits for another."""

    def __init__(self, journal: str | None = None) -> None:
        """Start with nobody at work; with a ``journal`` there is a file beside it that outlives the process.

        A file that cannot be made costs what the next process would have learned, and nothing else.
        """
        self._entries: dict[int, list[_Entry]] = {}
        self._free = deque(range(_SLOTS))
        self._windows = threading.Lock()  # Windows has no write at a place that leaves the position alone
        self.ended_at = 0.0
        """When the process before was ended by force because it did not end, on the monotonic clock; 0 if it was not."""
        self._path = "" if journal is None else journal + SUFFIX
        self._file = -1
        self.left: tuple[tuple[Activity, float], ...] = ()
        """What a process that was killed was doing, each with its beginning on the system's monotonic clock."""
        if self._path:
            try:
                self._file, self.left, self.ended_at = _open(self._path)
            except OSError as error:
                log.warning("what is in work is not noted: %s", error)

    def forget(self) -> None:
        """Forget what the process before was doing."""
        self.left = ()

    @contextlib.contextmanager
    def doing(
        self, kind: str, subject: str, step: str, *, job: str = "", document: int = -1, size: int = 0, mtime_ns: int = 0
    ) -> Iterator[None]:
        """Note that the calling thread does this for the length of the block; what it was doing before comes back."""
        ident = threading.get_ident()
        stack = self._entries.setdefault(ident, [])
        try:
            slot = stack[-1].slot if stack else self._free.popleft()
        except IndexError:
            slot = -1  # very many at once; those are not written down
        entry = _Entry(Activity(kind, subject, step, job, document, size, mtime_ns), slot)
        stack.append(entry)
        _here.board = self
        self._note(entry)
        try:
            yield
        finally:
            stack.pop()
            if stack:
                stack[-1].since = time.monotonic()
                self._note(stack[-1])
            else:
                _here.board = None
                if slot >= 0:
                    self._write(slot, bytes(4))
                    self._free.append(slot)
                del self._entries[ident]

    def touch(self) -> None:
        """Note that what the calling thread is doing goes on."""
        stack = self._entries.get(threading.get_ident())
        if stack:
            stack[-1].since = time.monotonic()
            self._note(stack[-1])

    def move(self, subject: str) -> None:
        """Note that the calling thread goes on with the same at ``subject``."""
        stack = self._entries.get(threading.get_ident())
        if stack:
            stack[-1].activity = replace(stack[-1].activity, subject=subject)
            stack[-1].since = time.monotonic()
            self._note(stack[-1])

    def toucher(self) -> Callable[[], None]:
        """Return what other threads call to say that the calling thread's work, which they share, goes on."""
        entry = self._entries[threading.get_ident()][-1]

        def touch() -> None:
            entry.since = time.monotonic()
            self._note(entry)

        return touch

    def now(self, least: float = 0.0) -> tuple[Activity, ...]:
        """Return what threads are at for at least so many seconds, the longest first."""
        at = time.monotonic()
        newest = [stack[-1] for stack in list(self._entries.values()) if stack]
        found = [replace(entry.activity, seconds=at - entry.since) for entry in newest if at - entry.since >= least]
        return tuple(sorted(found, key=lambda activity: -activity.seconds))

    def end(self) -> None:
        """Note that this process is ended by force now, because it does not end."""
        if self._file >= 0 and sys.platform != "win32":
            with contextlib.suppress(OSError):
                os.pwrite(self._file, b"%.3f" % time.monotonic(), END_OF_SLOTS)

    def close(self) -> None:
        """Remove the file: nothing that is going on now is to be told to anybody."""
        file, self._file = self._file, -1
        if file < 0:
            return
        if not self._entries:  # else a thread that does not end may still write, and the number must not be another's
            os.close(file)
        with contextlib.suppress(OSError):
            os.unlink(self._path)

    def _note(self, entry: _Entry) -> None:
        slot = entry.slot
        if self._file < 0 or slot < 0:
            return
        one = entry.activity
        words = (one.kind, one.step, one.job, one.document, one.size, one.mtime_ns, f"{entry.since:.3f}")
        data = "\t".join(map(str, words)).encode("utf-8", "replace") + b"\t" + os.fsencode(one.subject)
        data = data[: _SLOT - 4]
        self._write(slot, len(data).to_bytes(4, "big") + data)

    def _write(self, slot: int, data: bytes) -> None:
        file = self._file
        if file < 0:
            return
        with contextlib.suppress(OSError):  # a full disk costs what the next process would have learned
            if sys.platform != "win32":
                os.pwrite(file, data, slot * _SLOT)
            else:
                with self._windows:
                    os.lseek(file, slot * _SLOT, os.SEEK_SET)
                    os.write(file, data)


class _Here(threading.local):
    board: Board | None = None


_here = _Here()


@contextlib.contextmanager
def narrow(kind: str, subject: str, step: str) -> Iterator[None]:
    """Say more exactly what the calling thread is at, for the length of a block; nothing where it reports to nobody."""
    board = _here.board
    if board is None:
        yield
        return
    with board.doing(kind, subject, step):
        yield


def touch() -> None:
    """Note that what the calling thread is doing goes on."""
    if _here.board is not None:
        _here.board.touch()


def _open(path: str) -> tuple[int, tuple[tuple[Activity, float], ...], float]:
    """Open or make the file at ``path``, empty it, and return its descriptor with what was in it."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    file = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o600)
    try:
        data = os.read(file, END_OF_SLOTS + 32)
        os.ftruncate(file, 0)
    except OSError:
        os.close(file)
        raise
    try:
        ended_at = float(data[END_OF_SLOTS:] or b"0")
    except ValueError:
        ended_at = 0.0
    return file, _parse(data[:END_OF_SLOTS]), ended_at


def _parse(data: bytes) -> tuple[tuple[Activity, float], ...]:
    found: list[tuple[Activity, float]] = []
    for start in range(0, len(data), _SLOT):
        slot = data[start : start + _SLOT]
        length = int.from_bytes(slot[:4], "big")
        words = slot[4 : 4 + length].split(b"\t", _FIELDS)
        if not 0 < length <= _SLOT - 4 or len(words) != _FIELDS + 1:
            continue
        kind, step, job, *numbers = (word.decode("utf-8", "replace") for word in words[:_FIELDS])
        try:
            document, size, mtime_ns, since = int(numbers[0]), int(numbers[1]), int(numbers[2]), float(numbers[3])
        except ValueError:
            continue
        found.append((Activity(kind, os.fsdecode(words[_FIELDS]), step, job, document, size, mtime_ns), since))
    return tuple(found)
