"""The journal: jobs, documents and results in SQLite, written by one thread, readable by all.

Lanes hand over what they finished and go on at once. Nothing counts as acknowledged before its commit, and a document's
result and its state change are one transaction.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self, TypeVar

from engine.documents.document import State
from engine.errors import HeddleError
from engine.store.cells import shown
from engine.store.file import connect
from engine.store.record import (
    DOCUMENT_COLUMNS,
    JOB_COLUMNS,
    RESULT_COLUMNS,
    JobRecord,
    Record,
    Result,
    Row,
    checksum,
    document_from,
    document_row,
    job_from,
    job_row,
    job_value,
    result_from,
    result_row,
)
from engine.store.writer import Statement, Write, Writer

T = TypeVar("T")

_CHUNK = 1_000
"""Documents in one queued write when many are added or changed."""
_PAGE = 256
"""Rows that one read fetches; a pile is walked page by page, so no read holds the log back for long."""


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


_ADD_JOB = _insert("job", JOB_COLUMNS)
_ADD_DOCUMENT = _insert("document", DOCUMENT_COLUMNS)
_CHANGE_DOCUMENT = f"UPDATE document SET {' = ?, '.join(DOCUMENT_COLUMNS[2:])} = ? WHERE id = ? AND job = ?"
# A document that was taken off the pile while it ran keeps no result.
_PUT_RESULT = (
    f"INSERT OR REPLACE INTO result ({', '.join(RESULT_COLUMNS)}) SELECT {', '.join('?' * len(RESULT_COLUMNS))} "
    f"WHERE EXISTS (SELECT 1 FROM document WHERE id = ? AND state = '{State.DONE}')"
)
_DROP_RESULT = "DELETE FROM result WHERE document = ?"
_REMOVE_DOCUMENT = "DELETE FROM document WHERE id = ? AND job = ?"
_REMOVE_JOB = "DELETE FROM job WHERE id = ?"
_FATAL = 2
"""A document that was in work so many times when the engine died is not tried again by itself."""
_OPEN = f"state IN ('{State.WAITING}', '{State.RUNNING}', '{State.OFFLINE}')"
_DIED = f"UPDATE document SET deaths = deaths + 1, state = '{State.RUNNING}' WHERE id = ? AND {_OPEN}"
_QUARANTINE = (
    f"UPDATE document SET state = '{State.QUARANTINED}', lane = -1, reason = ? WHERE deaths >= {_FATAL} AND {_OPEN}"
)
_QUARANTINED = "the engine ended twice while this document was in work; it is set aside until you retry it"
_RECOVER = f"UPDATE document SET state = '{State.WAITING}', lane = -1 WHERE state = '{State.RUNNING}'"
_BACK_ONLINE = f"UPDATE document SET state = '{State.WAITING}', reason = '' WHERE state = '{State.OFFLINE}'"
_KNOW = "INSERT OR REPLACE INTO fact (name, value) VALUES (?, ?)"

_JOBS = f"SELECT {', '.join(JOB_COLUMNS)} FROM job"
_DOCUMENTS = ", ".join(f"document.{name}" for name in DOCUMENT_COLUMNS)
_PILE_ORDER = (
    "WHERE document.job = ? AND (document.position, document.id) > (?, ?) "
    f"ORDER BY document.position, document.id LIMIT {_PAGE}"
)
_DOCUMENT_PAGE = f"SELECT {_DOCUMENTS} FROM document {_PILE_ORDER}"
_RESULT_PAGE = (
    f"SELECT {_DOCUMENTS}, result.document, result.json, %s, result.key "
    f"FROM document LEFT JOIN result ON result.document = document.id {_PILE_ORDER}"
)
_ANSWERS = (
    f"SELECT {_DOCUMENTS}, result.document, result.json, result.vector, result.key FROM result "
    "JOIN document ON document.id = result.document WHERE result.key IN (%s) AND result.key <> ''"
)
_ROWS = (
    f"SELECT {_DOCUMENTS}, result.document, result.json, result.vector, result.key "
    "FROM document LEFT JOIN result ON result.document = document.id WHERE document.id IN (%s)"
)
_MISFITS = (
    "SELECT id, state, result.document IS NOT NULL AS has FROM document LEFT JOIN result ON result.document = id "
    f"WHERE has <> (state = '{State.DONE}')"
)
_CHECKSUMS = (
    "SELECT document, json, vector, key, crc FROM result "
    f"WHERE crc IS NOT NULL AND document > ? ORDER BY document LIMIT {_PAGE}"
)


class Journal:
    """Jobs, documents and results, kept in memory (``path`` None) or in a file that outlives the process.

    Every method may be called from any thread. Methods that write return a ticket at once and never wait for the disk;
    the write is durable when ``acknowledged`` has reached the ticket. Methods that read see every write that was asked
    for before them, and raise HeddleError while the disk refuses those writes (``problem``). After ``close`` all of
    them raise HeddleError.

    ``recovered`` is the number of documents that were in work when the process before died and wait again now,
    ``quarantined`` the number of those that were so for the second time and do not. ``notes`` are sentences for the
    user about what opening did: a migration, a damaged file that was set aside. ``flight`` takes note of what is in
    work.
    """

    def __init__(self, path: str | None = None) -> None:
        """Open or create the journal.

        Raises JournalBusy when it is open elsewhere, HeddleError for a file that is foreign or of a newer version.
        """
        self.path = path
        opened = connect(path)
        self._connection, self._reader = opened.writer, opened.reader
        self.flight, self.notes = opened.hold, tuple(opened.notes)
        self._write_gate = threading.Lock()
        self._read_gate = self._write_gate if self._reader is self._connection else threading.Lock()
        try:
            self.recovered, self.quarantined = self._take_over()
        except sqlite3.Error as error:
            self.flight.release(keep=True)
            self._disconnect()
            raise HeddleError(f"The journal {shown(path or '')} cannot be used: {error}. Check its disk.") from error
        self._writer = Writer(self._connection, self._write_gate, path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def acknowledged(self) -> int:
        """The highest ticket whose write, with all before it, is committed."""
        return self._writer.acknowledged

    @property
    def backlog(self) -> int:
        """Rows that wait for their commit; it grows while ``problem`` says why."""
        return self._writer.backlog

    @property
    def problem(self) -> str:
        """A sentence for the user while the disk refuses writes (they wait and are tried again), else empty."""
        return self._writer.problem

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything queued so far is committed; False when ``timeout`` seconds were not enough.

        Raises HeddleError when SQLite refused a write for its values (such as a second document of one id).
        """
        return self._writer.flush(timeout)

    def close(self, timeout: float = 5.0) -> int:
        """Commit what is queued, within about ``timeout`` seconds, and close; returns the rows left unwritten."""
        if self._writer.close(timeout):  # a thread stuck in the kernel keeps its connection until the process ends
            self._disconnect()
        return self._writer.backlog

    def _take_over(self) -> tuple[int, int]:
        """Put back what a dead process had in work; returns how many documents wait again, and how many must not.

        What it had in work is counted against the documents once, whatever kills this process before its list is gone.
        """
        connection, flight = self._connection, self.flight
        connection.execute("BEGIN IMMEDIATE")
        try:
            counted = connection.execute("SELECT value FROM fact WHERE name = 'flight'").fetchone()
            if flight.token and counted != (flight.token,):
                connection.executemany(_DIED, [(number,) for number in flight.left])
                connection.execute(_KNOW, ("flight", flight.token))
            quarantined = connection.execute(_QUARANTINE, (_QUARANTINED,)).rowcount
            recovered = connection.execute(_RECOVER).rowcount
            connection.execute(_BACK_ONLINE)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        flight.begin()
        return recovered, quarantined

    # --------------------------------------------------------------------------------------------------------- writes
    def add_job(self, job: JobRecord) -> int:
        """Queue a new job; returns its ticket."""
        return self._queue((_ADD_JOB, (job_row(job),)))

    def update_job(self, job: str, **changes: Any) -> int:
        """Queue new values for fields of a job, by name; an unknown job is left alone. Returns the ticket."""
        unknown = sorted(changes.keys() - set(JOB_COLUMNS[1:]))
        if unknown:
            raise ValueError(f"a job has no field {unknown[0]!r} that could change")
        sets = ", ".join(f"{name} = ?" for name in changes)
        values = (*(job_value(name, value) for name, value in changes.items()), job)
        return self._queue((f"UPDATE job SET {sets} WHERE id = ?", (values,) if changes else ()))

    def remove_job(self, job: str) -> int:
        """Queue the removal of a job with its documents and results; returns the ticket."""
        return self._queue((_REMOVE_JOB, ((job,),)))

    def add_documents(self, records: Iterable[Record]) -> int:
        """Queue new documents, in order; returns the ticket of the last."""
        rows = [document_row(record) for record in records]
        return self._writer.queue([Write(((_ADD_DOCUMENT, chunk),), len(chunk)) for chunk in _chunks(rows)])

    def update_documents(self, records: Iterable[Record]) -> int:
        """Queue changes of documents that carry no result: waiting again, running, cancelled, ... Returns the ticket.

        A document that is no longer done loses its result in the same transaction.
        """
        return self._writer.queue(
            [
                Write(
                    (
                        (_CHANGE_DOCUMENT, [_change(record) for record in chunk]),
                        (_DROP_RESULT, [(record.id,) for record in chunk if record.state != State.DONE]),
                    ),
                    len(chunk),
                )
                for chunk in _chunks(list(records))
            ]
        )

    def finish(self, record: Record, result: Result | None) -> int:
        """Queue the end of a document, its state and its result in one transaction; returns the ticket.

        A result belongs to the state ``done`` and to no other. Cheap, and never waits for the disk. Raises
        DocumentError for a result with NaN or infinities, ValueError or TypeError for one that does not belong to the
        record or is no JSON; then nothing was queued.
        """
        if (result is not None) != (record.state == State.DONE):
            raise ValueError(f"document {record.id} is {record.state} and has {'no' if result is None else 'a'} result")
        if result is None:
            return self._queue((_CHANGE_DOCUMENT, (_change(record),)), (_DROP_RESULT, ((record.id,),)))
        row = (*result_row(record, result), record.id)
        return self._queue((_CHANGE_DOCUMENT, (_change(record),)), (_PUT_RESULT, (row,)))

    def remove_documents(self, job: str, documents: Iterable[int]) -> int:
        """Queue the removal of documents with their results; returns the ticket."""
        return self._queue((_REMOVE_DOCUMENT, [(document, job) for document in documents]))

    def _queue(self, *statements: Statement) -> int:
        rows = len(statements[0][1])
        return self._writer.queue([Write(statements, rows)] if rows else [])

    # ---------------------------------------------------------------------------------------------------------- reads
    def jobs(self) -> list[JobRecord]:
        """Return all jobs, oldest first."""
        return [job_from(row) for row in self._read(f"{_JOBS} ORDER BY created, rowid")]

    def job(self, job: str) -> JobRecord | None:
        """Return one job, or None."""
        rows = self._read(f"{_JOBS} WHERE id = ?", job)
        return job_from(rows[0]) if rows else None

    def documents(self, job: str) -> Iterator[Record]:
        """Walk the job's pile in order, a page at a time; what changes meanwhile may show in later pages."""
        self._writer.settle()
        return (document_from(row) for row in self._pages(_DOCUMENT_PAGE, job))

    def results(self, job: str, *, vectors: bool = True) -> Iterator[tuple[Record, Result | None]]:
        """Walk the job's pile in order with the results, None where there is none.

        Without ``vectors`` they are neither read nor returned, and their dimension is 0.
        """
        self._writer.settle()
        query = _RESULT_PAGE % ("result.vector" if vectors else "NULL")
        width = len(DOCUMENT_COLUMNS)
        return (
            (document_from(row[:width]), None if row[width] is None else result_from(row[width:]))
            for row in self._pages(query, job)
        )

    def rows(self, documents: Iterable[int]) -> Iterator[tuple[Record, Result | None]]:
        """Give those of ``documents`` that are there, in no particular order, with their results."""
        self._writer.settle()
        width = len(DOCUMENT_COLUMNS)
        for chunk in _chunks(list(documents)):
            for row in self._fetch(_ROWS % ", ".join("?" * len(chunk)), *chunk):
                yield document_from(row[:width]), None if row[width] is None else result_from(row[width:])

    def document(self, document: int) -> Record | None:
        """Return one document, or None."""
        rows = self._read(f"SELECT {_DOCUMENTS} FROM document WHERE id = ?", document)
        return document_from(rows[0]) if rows else None

    def result(self, document: int) -> Result | None:
        """Return the result of one document, or None when it has none."""
        rows = self._read("SELECT document, json, vector, key FROM result WHERE document = ?", document)
        return result_from(rows[0]) if rows else None

    def answers(self, keys: Sequence[str], *, settled: bool = False) -> dict[str, tuple[Record, Result]]:
        """Return the results that have one of ``keys``, by key, each with the document that it was made of.

        With ``settled``, writes that still wait for their commit are neither waited for nor seen.
        """
        found: dict[str, tuple[Record, Result]] = {}
        if not settled:
            self._writer.settle()
        width = len(DOCUMENT_COLUMNS)
        for chunk in _chunks(list(keys)):
            query = _ANSWERS % ", ".join("?" * len(chunk))
            for row in self._fetch(query, *chunk):
                result = result_from(row[width:])
                found[result.key] = document_from(row[:width]), result
        return found

    def counts(self, job: str) -> dict[str, int]:
        """Return how many documents of the job are in each state; every state is there, at 0 if need be."""
        rows = self._read("SELECT state, COUNT(*) FROM document WHERE job = ? GROUP BY state", job)
        return {str(state): 0 for state in State} | {row[0]: row[1] for row in rows}

    def counts_by_job(self) -> dict[str, dict[str, int]]:
        """Return how many documents of every job are in each state that occurs."""
        counts: dict[str, dict[str, int]] = {}
        for job, state, number in self._read("SELECT job, state, COUNT(*) FROM document GROUP BY job, state"):
            counts.setdefault(job, {})[state] = number
        return counts

    def last_document_id(self) -> int:
        """Return the largest document id in the journal, 0 when it is empty."""
        return self._read("SELECT COALESCE(MAX(id), 0) FROM document")[0][0]

    def integrity(self) -> str:
        """Return ``ok``, or what is wrong, a line each: pages, references, done without a result or the reverse."""
        lines = [row[0] for row in self._read("PRAGMA integrity_check") if row[0] != "ok"]
        lines += [f"{row[0]} {row[1]} refers to nothing" for row in self._fetch("PRAGMA foreign_key_check")]
        lines += [
            f"document {document} is {state} and has {'a' if has else 'no'} result"
            for document, state, has in self._fetch(_MISFITS)
        ]
        for *row, crc in self._iterate(_CHECKSUMS):
            if crc != checksum(*row):
                lines.append(f"the result of document {row[0]} is not what was written")
        return "\n".join(lines) or "ok"

    def _read(self, query: str, *values: Any) -> list[Row]:
        self._writer.settle()
        return self._fetch(query, *values)

    def _fetch(self, query: str, *values: Any) -> list[Row]:
        try:
            with self._read_gate:
                return self._reader.execute(query, values).fetchall()
        except sqlite3.ProgrammingError as error:
            raise HeddleError(self._writer.closed()) from error
        except sqlite3.Error as error:
            name = "in memory" if self.path is None else shown(self.path)
            raise HeddleError(f"The journal {name} cannot be read: {error}. Check its disk.") from error

    def _iterate(self, query: str) -> Iterator[Row]:
        """Walk a query whose last condition is ``document > ?``, a page at a time."""
        document = -1
        while rows := self._fetch(query, document):
            yield from rows
            document = rows[-1][0]

    def _pages(self, query: str, job: str) -> Iterator[Row]:
        position = document = -1
        while rows := self._fetch(query, job, position, document):
            yield from rows
            document, _, position = rows[-1][:3]

    def _disconnect(self) -> None:
        # The reader first: SQLite folds the log into the file when the last connection closes, and that one may write.
        with self._read_gate:
            self._reader.close()
        with self._write_gate:
            self._connection.close()
        self.flight.release()


def _change(record: Record) -> Row:
    row = document_row(record)
    return row[2:] + row[:2]


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
