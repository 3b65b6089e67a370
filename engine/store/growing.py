"""Rows that are appended to a file as documents end, for whoever reads along while a job runs."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable

from engine.api.state import State
from engine.errors import ExportError, UsageError
from engine.store.cells import shown
from engine.store.export import jsonl_line, jsonl_row, pile_rows
from engine.store.journal import Journal
from engine.store.record import Record, Result
from engine.store.replacement import replacing, sentence

ENDED = frozenset({State.DONE, State.FAILED, State.SKIPPED, State.QUARANTINED})
"""States in which a document has a row."""


class GrowingExport:
    """A JSONL file that begins with the rows of what has ended, and gets one more for each document that ends.

    Rows stand in the order in which documents ended. One that is tried again gets another row: the last of a path
    counts. The file is only ever behind the journal, never ahead: rows come from what was committed.
    """

    def __init__(self, journal: Journal, job: str, path: str, *, resume: bool = False) -> None:
        """Write what is there to ``path``, whole or not at all; raises as ``export`` does.

        With ``resume``, ``path`` was written by an engine that ended: it keeps its rows, but for a last one that is not
        whole, and gets those that it lacks.
        """
        record = journal.job(job)
        if record is None:
            raise UsageError(f"There is no job {job!r} to export.")
        self.path = path
        self.rows = 0
        """Rows written so far."""
        self._journal, self._job, self._task = journal, job, record.task
        self._told: dict[int, int] = {}  # what a row said of a document, so that nothing is said twice
        if resume:
            self._resume()
            return
        with replacing(path) as (file,):
            for document, result in pile_rows(journal, job, path, vectors=True):
                file.write(self._line(document, result))
            self._end = file.tell()

    def _line(self, document: Record, result: Result | None) -> bytes:
        """Return the row of a document; nothing if it has not ended, or that was told before."""
        said = hash(document)
        if document.state not in ENDED or document.job != self._job or self._told.get(document.id) == said:
            return b""
        self._told[document.id] = said
        self.rows += 1
        return jsonl_line(jsonl_row(document, result, self._task)).encode("utf-8")

    def _resume(self) -> None:
        """Take note of the rows that the file has, cut off what is not a whole one, and append what is lacking."""
        try:
            with open(self.path, "r+b") as file:
                had: set[bytes] = set()
                self._end = 0
                for line in file:
                    if not line.endswith(b"\n"):
                        file.truncate(self._end)
                        break
                    self._end += len(line)
                    had.add(hashlib.sha256(line).digest())
        except OSError as error:
            raise ExportError(sentence(self.path, error)) from error
        self.rows = len(had)
        lacks: list[int] = []
        for record, result in pile_rows(self._journal, self._job, self.path, vectors=True):
            line = self._line(record, result)
            if line and hashlib.sha256(line).digest() in had:
                self.rows -= 1  # counted already
            elif line:
                self.rows -= 1
                del self._told[record.id]
                lacks.append(record.id)
        self.append(lacks)

    def append(self, documents: Iterable[int]) -> None:
        """Append rows of those ``documents`` that have ended; raises ExportError, and cuts off what was written in part.

        A file that somebody cut, moved away or replaced meanwhile is not written to.
        """
        job = self._journal.job(self._job)
        self._task = job.task if job is not None else self._task  # it may have been started since
        lines = b"".join(self._line(record, result) for record, result in self._journal.rows(documents))
        if not lines:
            return
        try:
            with open(self.path, "r+b") as file:
                if file.seek(0, os.SEEK_END) != self._end:
                    raise ExportError(
                        f"{shown(self.path)} gets no more rows: another program changed it. Export once more, to "
                        "another file."
                    )
                try:
                    file.write(lines)
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    with contextlib.suppress(OSError):
                        file.truncate(self._end)
                    raise
                self._end = file.tell()
        except OSError as error:
            raise ExportError(sentence(self.path, error)) from error
