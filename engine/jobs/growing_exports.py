"""Files that follow jobs: rows are appended as documents end, on a thread that may wait for the disk."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future

from engine.api.snapshot import JobRows
from engine.errors import HeddleError
from engine.store.growing import ENDED, GrowingExport
from engine.store.journal import Journal

log = logging.getLogger(__name__)


class _File:
    """A file that grows, and the documents whose rows it still lacks."""

    def __init__(self) -> None:
        self.export: GrowingExport | None = None
        self.lacks: set[int] = set()
        self.order = threading.Lock()
        self.due = False
        """Whether a thread will write what is lacking; a file that hangs takes one thread, not one a row."""


class Following:
    """The growing exports of an engine. All methods may be called from any thread."""

    def __init__(self, journal: Journal, workers: Executor, tell: Callable[[str, str], None]) -> None:
        """Read rows from ``journal`` on ``workers``; a file that cannot be written is told to ``tell`` and given up."""
        self._journal, self._workers, self._tell = journal, workers, tell
        self._lock = threading.Lock()
        self._files: dict[str, dict[str, _File]] = {}

    def start(self, job: str, path: str, *, resume: bool = False) -> Future[int]:
        """Let a file follow a job from now on; the future gives the rows that are in it now, or raises ExportError.

        With ``resume`` the file is one that an earlier engine wrote.
        """
        file = _File()
        with self._lock:  # known from here on, so that no document ends unseen while the first rows are written
            self._files.setdefault(job, {})[path] = file

        def write() -> int:
            try:
                with file.order:
                    file.export = GrowingExport(self._journal, job, path, resume=resume)
                    return file.export.rows
            except BaseException:
                self._forget(job, path)
                raise

        return self._workers.submit(write)

    def see(self, told: Iterable[JobRows]) -> None:
        """Take note of rows that changed, all of them committed."""
        for rows in told:
            with self._lock:
                files = list(self._files.get(rows.job, {}).items())
                ended = {row.id for row in rows.rows if row.state in ENDED} if files else set()
                begin = [(path, file) for path, file in files if ended and not file.due]
                for _, file in files:
                    file.lacks |= ended
                    file.due |= bool(ended)
            for path, file in begin:
                self._workers.submit(self._append, rows.job, path, file)

    def end(self, job: str) -> Future[int]:
        """Write what is lacking and let go of the job's files; the future gives the number of their rows."""
        with self._lock:
            files = list(self._files.get(job, {}).items())

        def finish() -> int:
            for path, file in files:
                self._append(job, path, file)
                self._forget(job, path)
            return sum(file.export.rows for _, file in files if file.export is not None)

        return self._workers.submit(finish)

    def _append(self, job: str, path: str, file: _File) -> None:
        with file.order:
            with self._lock:
                lacks, file.lacks, file.due = file.lacks, set(), False
            if not lacks or file.export is None:
                return
            try:
                file.export.append(lacks)
            except HeddleError as error:
                self._forget(job, path)
                self._tell("error", str(error))
            except Exception as error:
                log.exception("a growing export failed")
                self._forget(job, path)
                self._tell("error", f"No more rows are written to the export: {error}")

    def _forget(self, job: str, path: str) -> None:
        with self._lock:
            files = self._files.get(job, {})
            files.pop(path, None)
            if not files:
                self._files.pop(job, None)
