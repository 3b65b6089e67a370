"""The walk: from the paths that somebody dropped on the window to the files of a pile, each real file once."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from engine.documents.document import Skipped, Source

DOCUMENT_ENDINGS = frozenset((".txt", ".md", ".log", ".text", ".rst", ".csv", ".tsv", ".json", ".jsonl"))
"""A folder whose name ends like this looks like a document, so the pile says that it is none."""

_KINDS = (
    (stat.S_ISDIR, "folder"),
    (stat.S_ISFIFO, "FIFO"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "character device"),
    (stat.S_ISBLK, "block device"),
)
_DIGITS = re.compile(r"([0-9]+)")


class _Places:
    """Real files or folders, and the path that each was first found under."""

    def __init__(self) -> None:
        self._paths: dict[tuple[int, int] | str, str] = {}
        self._keys: dict[str, tuple[int, int] | str] = {}

    def first(self, path: str, status: os.stat_result) -> str:
        """Return the path under which ``path`` was found before; "" when it is new, and then remember it.

        File numbers are given to new files once the old one is gone, and some network systems give one number twice,
        so what was found before must still be there, and be the same.
        """
        key = (status.st_dev, status.st_ino) if status.st_ino else os.path.normcase(os.path.realpath(path))
        before = self._paths.get(key)
        if before is not None and _is_same(before, status):
            return before
        self._paths[key] = path
        self._keys[path] = key
        return ""

    def forget(self, path: str) -> None:
        key = self._keys.pop(path, None)
        if key is not None and self._paths.get(key) == path:
            del self._paths[key]


def _is_same(path: str, status: os.stat_result) -> bool:
    try:
        before = os.stat(path)
    except OSError:
        return False
    return (before.st_dev, before.st_ino, before.st_size, before.st_mtime_ns) == (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
    )


def _never() -> bool:
    return False


def _unheard(_path: str) -> str:
    return ""


class Walk:
    """The way into one pile. It remembers the real files it found, so that each is taken once over all its walks."""

    def __init__(self) -> None:
        """Start with an empty pile."""
        self._files = _Places()

    def walk(
        self,
        paths: Iterable[str],
        *,
        cancelled: Callable[[], bool] = _never,
        looking: Callable[[str], str] = _unheard,
    ) -> Iterator[Source | Skipped]:
        """Find the files at ``paths``, lazily, and say of every path that is not taken why not. Nothing is opened.

        A file is taken as it is named; a folder with all below it: its own files first, then folder by folder, names
        in natural order ("chapter 2" before "chapter 10"). Hidden names inside a folder are skipped, a hidden path
        that was named is taken. Symbolic links are followed after all else, so that a file is found under its real
        name where both are there, except to a folder that they lie in; each real folder is walked once, so loops
        end. Only regular files are taken.

        The walk ends early when ``cancelled`` returns True. ``looking`` hears each path before the system is asked about
        it, which can take for ever on a disk that does not answer; where it returns a reason, the path is Skipped. It
        raises nothing: what cannot be looked at is Skipped
        with its reason.
        """
        return _Run(self._files, cancelled, looking).run(paths)

    def forget(self, path: str) -> None:
        """Let the file that was found at ``path`` be found again, because it was taken off the pile."""
        self._files.forget(path)


def walk(paths: Iterable[str], *, cancelled: Callable[[], bool] = _never) -> Iterator[Source | Skipped]:
    """Find the files at ``paths`` for a pile of their own; see Walk.walk."""
    return Walk().walk(paths, cancelled=cancelled)


class _Run:
    """The state of one walk: the real folders it has been in, and the links it will follow at its end."""

    def __init__(self, files: _Places, cancelled: Callable[[], bool], looking: Callable[[str], str]) -> None:
        self._files = files
        self._folders = _Places()
        self._links: deque[str] = deque()
        self._cancelled, self._looking = cancelled, looking

    def run(self, paths: Iterable[str]) -> Iterator[Source | Skipped]:
        for path in paths:
            yield from self._take(path)
        while self._links:
            path = self._links.popleft()
            if reason := self._looking(path):
                yield Skipped(path, reason)
            elif _leads_up(path):
                yield Skipped(path, "a link to a folder above it")
            else:
                yield from self._take(path)

    def _take(self, path: str) -> Iterator[Source | Skipped]:
        """A path that was named, or a link: whatever it leads to."""
        if self._cancelled():
            return
        if reason := self._looking(path):
            yield Skipped(path, reason)
            return
        try:
            status = os.stat(path)
        except (OSError, ValueError) as error:
            yield Skipped(path, why_not(error, path))
            return
        if stat.S_ISDIR(status.st_mode):
            yield from self._tree(path)
        else:
            yield self._file(path, status)

    def _file(self, path: str, status: os.stat_result) -> Source | Skipped:
        if not stat.S_ISREG(status.st_mode):
            return Skipped(path, not_regular(status.st_mode))
        first = self._files.first(path, status)
        if first:
            return Skipped(path, f"already in the pile: {first}", first)
        return Source(path, status.st_size, status.st_mtime_ns)

    def _tree(self, root: str) -> Iterator[Source | Skipped]:
        """All below ``root``; with a stack of its own, because folders may lie deeper than Python's."""
        stack = [root]
        while stack:
            folder = stack.pop()
            if reason := self._looking(folder):
                yield Skipped(folder, reason)
                continue
            try:
                first = self._folders.first(folder, os.stat(folder))
            except (OSError, ValueError) as error:
                yield Skipped(folder, why_not(error, folder))
                continue
            if first:
                yield Skipped(folder, f"folder already walked: {first}")
                continue
            if os.path.splitext(folder)[1].lower() in DOCUMENT_ENDINGS:
                yield Skipped(folder, f"{not_regular(stat.S_IFDIR)}; its files are taken one by one")
            folders: list[str] = []
            for item in self._folder(folder):
                if self._cancelled():
                    return
                if isinstance(item, str):
                    folders.append(item)
                else:
                    yield item
            stack.extend(reversed(folders))

    def _folder(self, folder: str) -> Iterator[Source | Skipped | str]:
        """What ``folder`` holds, in natural order; the folders in it as plain paths."""
        names: list[tuple[str, bool, bool, bool]] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    names.append((entry.name, _is_hidden(entry), entry.is_symlink(), _is_folder(entry)))
        except OSError as error:
            yield Skipped(folder, f"folder not readable: {_words(error)}")
        names.sort(key=lambda item: _natural(item[0]))
        for name, hidden, link, is_folder in names:
            path = os.path.join(folder, name)
            if hidden:
                yield Skipped(path, "hidden")
            elif link:
                self._links.append(path)
            elif is_folder:
                yield path
            else:
                yield from self._take(path)


def _leads_up(link: str) -> bool:
    """True for a link to a folder that it lies in: what is there is walked, or lies outside of what was named."""
    target = os.path.realpath(link).rstrip(os.sep) + os.sep
    return (os.path.realpath(os.path.dirname(link)) + os.sep).startswith(target)


def _natural(name: str) -> tuple[list[str | int], str]:
    """Sort key: numbers by value, letters without case; every second part is a number, so the parts compare."""
    parts = _DIGITS.split(name.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name


def _is_hidden(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith("."):
        return True
    if sys.platform == "win32":
        try:
            return bool(entry.stat(follow_symlinks=False).st_file_attributes & stat.FILE_ATTRIBUTE_HIDDEN)
        except OSError:
            return False
    return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False  # os.stat says why, when the path is taken


def not_regular(mode: int) -> str:
    """Return the reason for a file of ``mode`` (st_mode) that is no regular file, with its kind."""
    kind = next((name for test, name in _KINDS if test(mode)), "special file")
    return f"not a regular file: {kind}"


def why_not(error: OSError | ValueError, path: str) -> str:
    """Return the reason for a path that the system refused with ``error``, as the row shows it."""
    if not isinstance(error, OSError):
        return "not a file name that this system can have"
    if error.errno == errno.ENAMETOOLONG:
        length = len(os.fsencode(path))
        return f"path too long for this system: {length:,} bytes; move the folder nearer to the top"
    if error.errno == errno.ELOOP:
        return "a link that leads back to itself"
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return "missing: the link leads nowhere" if os.path.islink(path) else "missing: no such file or folder"
    return f"not readable: {_words(error)}"


def _words(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
