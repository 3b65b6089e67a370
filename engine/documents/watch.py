"""Watched folders: new and changed files are handed over once they stop growing.

No library, so it works on any file system. Nobody can know that a writer who pauses has not finished, so a file that goes
on growing after it was handed over is handed over again.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from engine.documents.document import Source

log = logging.getLogger(__name__)

PERIOD = 2.0
"""Seconds between two looks; a file is taken when two looks in a row found the same size and time of change."""

SHARE = 20
"""A look that took long is followed by a pause this many times as long, so that watching costs at most 5 % of a core."""

Found = Callable[[str, list[str]], None]
"""Called with a key and the paths of files that are new or changed and have stopped growing."""

Mark = tuple[int, int]
"""Size in bytes and time of change in nanoseconds: what tells one state of a file from another."""


class FolderWatch:
    """One folder with all below it, hidden names left out. Not thread-safe."""

    def __init__(self, folder: str, known: Mapping[str, Mark | None] | None = None) -> None:
        """Watch ``folder``; the files at the paths ``known`` are told only once they are no longer what is known of them.

        None stands for the state in which the first look finds a file.
        """
        self.folder = folder
        self._known = {os.path.realpath(path): mark for path, mark in (known or {}).items()}
        self._growing: dict[str, Mark] = {}

    def look(self) -> list[str]:
        """Return the paths of files that are new or changed and were the same at the look before, in order of finding.

        An empty file is waited for. A folder that is not there has nothing new.
        """
        steady: list[str] = []
        growing: dict[str, Mark] = {}
        for path in self._files():
            try:
                status = os.stat(path)
            except OSError:
                continue  # gone, or not ours to read: the next look tells
            found = Source(path, status.st_size, status.st_mtime_ns)
            mark = (found.size, found.mtime_ns)
            if self._known.get(path, mark) is None:
                self._known[path] = mark
            elif self._known.get(path) == mark:
                continue
            elif status.st_size and self._growing.get(path) == mark:
                steady.append(path)
                self._known[path] = mark
            else:
                growing[path] = mark
        self._growing = growing
        return steady

    def _files(self) -> Iterable[str]:
        folders = [os.path.realpath(self.folder)]
        while folders:
            try:
                with os.scandir(folders.pop()) as entries:
                    found = sorted(entries, key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in found:
                if entry.name.startswith("."):
                    continue
                try:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        yield entry.path
                except OSError:
                    continue


class Watcher:
    """Watches folders for several piles on one thread, which lives while there is something to watch."""

    def __init__(self, found: Found, period: float = PERIOD) -> None:
        """Tell ``found`` about new files, on the watcher's thread."""
        self._found, self._period = found, period
        self._watches: dict[str, FolderWatch] = {}
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def watch(self, key: str, folder: str, known: Mapping[str, Mark | None] | None = None) -> None:
        """Watch ``folder`` for ``key``, in place of what was watched for it before."""
        watch = FolderWatch(folder, known)
        with self._change:
            self._watches[key] = watch
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
                self._thread.start()

    def forget(self, key: str) -> None:
        """Watch nothing for ``key`` any more."""
        with self._change:
            self._watches.pop(key, None)
            self._change.notify_all()

    def close(self) -> None:
        """Watch nothing any more; the thread ends after the look that it is at."""
        with self._change:
            self._closed = True
            self._watches.clear()
            self._change.notify_all()

    def _run(self) -> None:
        while True:
            with self._change:
                watches = list(self._watches.items())
                if not watches:
                    self._thread = None
                    return
            begin = time.monotonic()
            for key, watch in watches:
                try:
                    paths = watch.look()
                    if paths and self._watches.get(key) is watch:
                        self._found(key, paths)
                except Exception:
                    log.exception("a watched folder could not be looked at")
            pause = max(self._period, SHARE * (time.monotonic() - begin))
            with self._change:
                self._change.wait_for(lambda: not self._watches, pause)
