"""Reading the journal: rows are checked as they are read, and what is damaged is told, kept aside and mended."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from engine.api.state import State
from engine.errors import HeddleError
from engine.requests.output import Output
from engine.store.cells import escape, shown
from engine.store.checked import as_kept, checked_document, checked_job, checked_pair, checked_result
from engine.store.checksum import Row, document_crc, fits, result_crc
from engine.store.hold import Hold, NoHold
from engine.store.record import LARGEST, STATES, JobRecord, Record, Result, document_row, job_row
from engine.store.statements import (
    ALL_JOBS,
    ANSWERS,
    COUNTS,
    COUNTS_BY_JOB,
    DOCUMENT,
    DOCUMENT_CHECKSUMS,
    DOCUMENT_PAGE,
    DROP_RESULT,
    KEEP_DAMAGED,
    MEND_DOCUMENT,
    MEND_JOB,
    MEND_RESULT,
    MISFITS,
    OUTPUTS,
    PARTS,
    RESULT,
    RESULT_CHECKSUMS,
    RESULT_PAGE,
    ROWS,
)
from engine.store.step_output import output_from
from engine.store.take_over import TakenOver, as_taken_over
from engine.store.write import Write
from engine.store.writer import Writer

_log = logging.getLogger(__name__)

T = TypeVar("T")

_CHUNK = 1_000
"""Documents in one queued write when many are added or changed, and in one query."""
_MOST_NOTES = 50
"""Notes that are kept; a journal that is damaged all over is told of by then."""


class Reads:
    """The half of the journal that reads; `Journal` opens the file, writes, and sets what stands here."""

    path: str | None
    in_flight: Hold | NoHold
    changed: Callable[[Record], None]
    _writer: Writer
    _reader: sqlite3.Connection
    _read_gate: threading.Lock
    _taken: TakenOver | None

    def __init__(self) -> None:
        self._notes: list[str] = []
        self._mended: set[tuple[str, Any]] = set()

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user, oldest first; more may come."""
        return tuple(self._notes)

    def jobs(self) -> list[JobRecord]:
        """Return all jobs, oldest first."""
        return [self._job(row) for row in self._read(f"{ALL_JOBS} ORDER BY created, rowid")]

    def job(self, job: str) -> JobRecord | None:
        """Return one job, or None."""
        rows = self._read(f"{ALL_JOBS} WHERE id = ?", job)
        return self._job(rows[0]) if rows else None

    def documents(self, job: str) -> Iterator[Record]:
        """Walk the job's pile in order, a page at a time; what changes meanwhile may show in later pages."""
        self._writer.settle()
        return (self._document(row) for row in self._pages(DOCUMENT_PAGE, job))

    def results(self, job: str, *, vectors: bool = True) -> Iterator[tuple[Record, Result | None]]:
        """Walk the job's pile in order with the results, None where there is none.

        Without ``vectors`` they are not returned, and their dimension is 0.
        """
        self._writer.settle()
        return (self._pair(row, vectors=vectors) for row in self._pages(RESULT_PAGE, job))

    def has_parts(self, job: str) -> bool:
        """Tell whether documents of the job's pile are parts of their files."""
        self._writer.settle()
        return bool(self._read(PARTS, job))

    def rows(self, documents: Iterable[int]) -> Iterator[tuple[Record, Result | None]]:
        """Give those of ``documents`` that are there, in no particular order, with their results."""
        self._writer.settle()
        for chunk in chunks(list(documents)):
            for row in self._fetch(ROWS % ", ".join("?" * len(chunk)), *chunk):
                yield self._pair(row)

    def document(self, document: int) -> Record | None:
        """Return one document, or None."""
        rows = self._read(DOCUMENT, document)
        return self._document(rows[0]) if rows else None

    def result(self, document: int) -> Result | None:
        """Return the result of one document, or None when it has none."""
        rows = self._read(RESULT, document)
        if not rows:
            return None
        result = checked_result(rows[0])
        if result is None:
            next(self.rows([document]), None)  # tells and mends
        return result

    def outputs(self, job: str) -> dict[int, dict[tuple[int, str], tuple[str, Output]]]:
        """Return the outputs of steps that are kept for the documents of a job, by document, step and key, each with what
        it answers (question.key).

        One that is not what was written is left out: its request runs again.
        """
        found: dict[int, dict[tuple[int, str], tuple[str, Output]]] = {}
        for row in self._read(OUTPUTS, job):
            kept = output_from(row)
            if kept is not None:
                document, step, asked, output = kept
                found.setdefault(document, {})[step, output.key] = asked, output
        return found

    def answers(self, keys: Sequence[str], *, settled: bool = False) -> dict[str, tuple[Record, Result]]:
        """Return the results that have one of ``keys``, by key, each with the document that it was made of.

        With ``settled``, writes that still wait for their commit are neither waited for nor seen.
        """
        found: dict[str, tuple[Record, Result]] = {}
        if not settled:
            self._writer.settle()
        for chunk in chunks(list(keys)):
            query = ANSWERS % ", ".join("?" * len(chunk))
            for row in self._fetch(query, *chunk):
                record, result = self._pair(row)
                if result is not None:
                    found[result.key] = record, result
        return found

    def counts(self, job: str) -> dict[str, int]:
        """Return how many documents of the job are in each state; every state is there, at 0 if need be."""
        rows = self._read(COUNTS, job)
        if any(state not in STATES for state, _ in rows):
            self._look_through(job)
            rows = self._read(COUNTS, job)
        return {str(state): 0 for state in State} | self._tidy(rows)

    def counts_by_job(self) -> dict[str, dict[str, int]]:
        """Return how many documents of every job are in each state that occurs."""
        rows = self._read(COUNTS_BY_JOB)
        if damaged := {job for job, state, _ in rows if state not in STATES}:
            for job in damaged:
                self._look_through(job)
            rows = self._read(COUNTS_BY_JOB)
        counts: dict[str, list[tuple[str, int]]] = {}
        for job, state, number in rows:
            counts.setdefault(job, []).append((state, number))
        return {job: self._tidy(found) for job, found in counts.items()}

    def _tidy(self, rows: Iterable[Row]) -> dict[str, int]:
        """Return counts by states that there are: those of damaged rows count as failed, as they are given out."""
        counts: dict[str, int] = {}
        for state, number in rows:
            known = state if state in STATES else str(State.FAILED)
            if self._taken is None and known in {State.RUNNING, State.OFFLINE}:
                known = str(State.WAITING)
            counts[known] = counts.get(known, 0) + number
        return counts

    def last_document_id(self) -> int:
        """Return the largest document id in the journal, 0 when it is empty."""
        return self._read("SELECT COALESCE(MAX(id), 0) FROM document")[0][0]

    def integrity(self) -> str:
        """Return ``ok``, or what is wrong, a line each: pages, references, checksums, done without a result or the reverse."""
        lines = [row[0] for row in self._read("PRAGMA integrity_check") if row[0] != "ok"]
        lines += [f"{row[0]} {row[1]} refers to nothing" for row in self._fetch("PRAGMA foreign_key_check")]
        lines += [
            f"document {document} is {state} and has {'a' if has else 'no'} result"
            for document, state, has in self._fetch(MISFITS)
        ]
        for *row, crc in self._iterate(DOCUMENT_CHECKSUMS):
            if not fits(crc, document_crc, row):
                lines.append(f"the row of document {row[0]} is not what was written")
        for *row, crc in self._iterate(RESULT_CHECKSUMS):
            if not fits(crc, result_crc, *row):
                lines.append(f"the result of document {row[0]} is not what was written")
        return "\n".join(lines) or "ok"

    # --------------------------------------------------------------------------------------------------- what is damaged
    def _job(self, row: Row) -> JobRecord:
        job, whole = checked_job(row)
        if not whole and self._is_news("job", row[0]):
            self._note(
                f"The row of a pile was damaged; its documents are there under the name {job.name!r}, and its task and "
                "settings are not: choose them again."
            )
            self._mend(KEEP_DAMAGED, (job.id, as_kept(row)))
            self._mend(MEND_JOB, job_row(job)[:-2])
        return job

    def _document(self, row: Row) -> Record:
        record, whole = checked_document(row)
        if not whole:
            self._set_aside(record, row)
        return record if self._taken is not None else as_taken_over(record, self.in_flight.left)

    def _pair(self, row: Row, *, vectors: bool = True) -> tuple[Record, Result | None]:
        record, result, whole = checked_pair(row, vectors=vectors)
        if not whole:
            self._set_aside(record, row)
        return record if self._taken is not None else as_taken_over(record, self.in_flight.left), result

    def _set_aside(self, record: Record, row: Row) -> None:
        """Tell of a damaged row, keep what could be read of it, and give it the state that it is given out with."""
        if not self._is_news("document", record.id):
            return
        what = "row" if record.state == State.FAILED else "result"
        self._note(f"The {what} of {escape(shown(record.path))} was damaged: {record.reason}.")
        self._mend(KEEP_DAMAGED, (record.job, as_kept(row)))
        if record.state == State.FAILED:
            self._mend(MEND_DOCUMENT, _mended(document_row(record)))
        else:
            self._mend(MEND_RESULT, (record.reason, record.id))
        self._mend(DROP_RESULT, (record.id,))
        self.changed(record)

    def _is_news(self, kind: str, number: Any) -> bool:
        if (kind, number) in self._mended:
            return False
        self._mended.add((kind, number))
        return True

    def _note(self, text: str) -> None:
        _log.warning("a damaged row was found")  # no names of documents in logs
        if len(self._notes) < _MOST_NOTES:
            self._notes.append(f"{text} The journal: {shown(self.path or 'in memory')}.")

    def _mend(self, statement: str, row: Row) -> None:
        if not self._writer.problem:  # a disk that refuses is not asked for more; the row is checked again next time
            self._writer.queue([Write(((statement, (row,)),), 1)])

    def _look_through(self, job: str) -> None:
        """Read all rows of a job, so that what is damaged is mended."""
        for _ in self.results(job, vectors=False):
            pass

    def _read(self, query: str, *values: Any) -> list[Row]:
        self._writer.settle()
        return self._fetch(query, *values)

    def _fetch(self, query: str, *values: Any) -> list[Row]:
        try:
            with self._read_gate:
                try:
                    return self._reader.execute(query, values).fetchall()
                except sqlite3.OperationalError as error:
                    if "decode" not in str(error):
                        raise
                    # A flipped bit can make text that is not UTF-8: read all the same, and found out by its checksum.
                    self._reader.text_factory, before = _decoded, self._reader.text_factory
                    try:
                        return self._reader.execute(query, values).fetchall()
                    finally:
                        self._reader.text_factory = before
        except sqlite3.ProgrammingError as error:
            raise HeddleError(self._writer.closed()) from error
        except sqlite3.Error as error:
            name = "in memory" if self.path is None else shown(self.path)
            raise HeddleError(f"The journal {name} cannot be read: {error}. Check its disk.") from error

    def _iterate(self, query: str) -> Iterator[Row]:
        """Walk a query whose last condition is that the first column is larger than a value, a page at a time."""
        document = -LARGEST
        while rows := self._fetch(query, document):
            yield from rows
            document = rows[-1][0]

    def _pages(self, query: str, job: str) -> Iterator[Row]:
        at = (-LARGEST, -LARGEST)
        while rows := self._fetch(query, job, *at):
            yield from rows
            document, _, position = rows[-1][:3]
            if not isinstance(position, int) or (position, document) <= at:
                raise HeddleError(
                    f"The journal {shown(self.path or '')} cannot be read: it was damaged since it was opened. "
                    "Close Heddle and start it again: the journal is checked then."
                )
            at = position, document


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut ``items`` into pieces for one write or one query each."""
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))


def _mended(row: Row) -> Row:
    return row[1:] + row[:1]


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")
