"""The journal: jobs, documents and results in SQLite, written by one thread, readable by all.

Workers hand over what they finished and go on at once. Nothing counts as acknowledged before its commit, and a document's
result and its state change are one transaction.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Self

from engine.api.state import State
from engine.errors import HeddleError
from engine.requests.output import Output
from engine.store.cells import shown
from engine.store.checksum import Row
from engine.store.file import connect
from engine.store.hold import Hold
from engine.store.reads import Reads, chunks
from engine.store.record import (
    JOB_COLUMNS,
    JobRecord,
    Record,
    Result,
    as_failed,
    document_row,
    job_row,
    job_value,
    result_row,
)
from engine.store.refusals import Refusal, refusal_of
from engine.store.statements import (
    ADD_DOCUMENT,
    ADD_JOB,
    CHANGE_DOCUMENT,
    DROP_OUTPUTS,
    DROP_RESULT,
    KEEP_OUTPUT,
    PUT_RESULT,
    REMOVE_DAMAGED,
    REMOVE_DOCUMENT,
    REMOVE_JOB,
    change_job,
)
from engine.store.step_output import output_row
from engine.store.take_over import TakenOver, take_over
from engine.store.write import Statement, Write
from engine.store.writer import Writer


class Journal(Reads):
    """Jobs, documents and results, kept in memory (``path`` None) or in a file that outlives the process.

    Every method may be called from any thread. Methods that write return a ticket at once and never wait for the disk;
    the write is durable when ``acknowledged`` has reached the ticket. Methods that read see every write that was asked
    for before them, and raise HeddleError while the disk refuses those writes (``problem``). After ``close`` all of
    them raise HeddleError.

    ``recovered`` is the number of documents that were in work when the process before died and wait again now,
    ``quarantined`` the number of those that were so for the second time and do not. ``notes`` are sentences for the
    user: what opening did (a migration, a damaged file that was set aside) and what was found to be damaged since.
    ``in_flight`` takes note of what is in work.

    Rows are checked as they are read. A document whose row is not what was written is given as failed for that reason, one
    whose result is not as waiting; the journal is mended accordingly, and keeps the damaged row.
    """

    def __init__(self, path: str | None = None) -> None:
        """Open or create the journal.

        Raises JournalBusy when it is open elsewhere, HeddleError for a file that is foreign or of a newer version.
        """
        super().__init__()
        self.path = path
        self.changed: Callable[[Record], None] = lambda _record: None
        """Called, on any thread, with a document that the journal itself has put into another state, and why."""
        self.stopped: Callable[[str], None] = lambda _problem: None
        """Called when nothing can be written any more, with ``problem``."""
        self._taken: TakenOver | None = None
        refuses = self._open(path)
        problem = ""
        if refuses is not None:
            problem = Writer.sentence(path, refuses)
            self._notes.append(f"{problem} Until then, jobs can be looked at and exported.")
        self._writer = Writer(
            self._connection,
            self._write_gate,
            path,
            first=self._take_over if refuses is not None else None,
            problem=problem,
            refused=self._refused,
            stopped=self._stopped,
        )

    def _open(self, path: str | None) -> Exception | None:
        """Connect and take over; returns what keeps this from writing for now, if the file can be read all the same."""
        damage = ""
        while True:
            opened = connect(path, damage)
            self._connection, self._reader = opened.writer, opened.reader
            self.in_flight = opened.hold
            self._held = opened.held
            self._notes += opened.notes
            self._write_gate = threading.Lock()
            self._read_gate = self._write_gate if self._reader is self._connection else threading.Lock()
            if opened.refuses is not None:
                return opened.refuses
            try:
                self._take_over()
            except sqlite3.Error as error:
                kind = refusal_of(error)
                if kind == Refusal.DISK:
                    return error
                self.in_flight.release(keep=True)
                self._disconnect()
                if damage or kind != Refusal.JOURNAL:
                    raise HeddleError(
                        f"The journal {shown(path or '')} cannot be used: {error}. Check its disk."
                    ) from error
                damage = str(error)
                continue
            return None

    def _take_over(self) -> None:
        """Take over what a dead process left; raises sqlite3.Error, OSError, JournalBusy."""
        if not self._held and self.path is not None:
            self.in_flight, self._held = Hold(self.path), True
        taken = take_over(self._connection, self.in_flight, self.path)
        self._notes += taken.notes
        self._taken = taken

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def recovered(self) -> int:
        """How many documents were in work when the process before died, and wait again."""
        return self._taken.recovered if self._taken is not None else 0

    @property
    def quarantined(self) -> int:
        """How many documents were in work for the second time when the process before died."""
        return self._taken.quarantined if self._taken is not None else 0

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
        """A sentence for the user while the disk refuses writes (they wait and are tried again), else empty.

        Once ``broken``, it stays.
        """
        return self._writer.problem

    @property
    def broken(self) -> bool:
        """Whether nothing can be written any more, because of an error that is not of the disk."""
        return self._writer.broken

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

    # --------------------------------------------------------------------------------------------------------- writes
    def add_job(self, job: JobRecord) -> int:
        """Queue a new job; returns its ticket."""
        return self._queue((ADD_JOB, (job_row(job),)), grows=1)

    def update_job(self, job: str, **changes: Any) -> int:
        """Queue new values for fields of a job, by name; an unknown job is left alone. Returns the ticket."""
        unknown = sorted(changes.keys() - set(JOB_COLUMNS[1:]))
        if unknown:
            raise ValueError(f"a job has no field {unknown[0]!r} that could change")
        values = (*(job_value(name, value) for name, value in changes.items()), job)
        return self._queue((change_job(tuple(changes)), (values,))) if changes else self._queue()

    def remove_job(self, job: str) -> int:
        """Queue the removal of a job with its documents and results; returns the ticket."""
        return self._queue((REMOVE_JOB, ((job,),)), (REMOVE_DAMAGED, ((job,),)), grows=-1)

    def add_documents(self, records: Iterable[Record]) -> int:
        """Queue new documents, in order; returns the ticket of the last.

        One that cannot be kept as it is is kept as failed, with the reason (``changed``).
        """
        return self._writer.queue(
            [
                Write(
                    ((ADD_DOCUMENT, [self._row(record) for record in chunk]),),
                    len(chunk),
                    1,
                    chunk[0].job,
                    chunk,
                    self._add_failed,
                )
                for pile in _by_job(list(records))
                for chunk in chunks(pile)
            ]
        )

    def update_documents(self, records: Iterable[Record]) -> int:
        """Queue changes of documents that carry no result: waiting again, running, cancelled, ... Returns the ticket.

        A document that is no longer done loses its result in the same transaction.
        """
        return self._writer.queue(
            [
                Write(
                    (
                        (CHANGE_DOCUMENT, [_change(self._row(record)) for record in chunk]),
                        (DROP_RESULT, [(record.id,) for record in chunk]),
                    ),
                    len(chunk),
                    records=chunk,
                    instead=self._change_failed,
                )
                for chunk in chunks(list(records))
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
        change = (CHANGE_DOCUMENT, (_change(document_row(record)),))
        if result is None:
            dropped = (DROP_RESULT, ((record.id,),)), (DROP_OUTPUTS, ((record.id,),))
            return self._queue(change, *dropped, record=record)
        row = (*result_row(record, result), record.id)
        return self._queue(change, (PUT_RESULT, (row,)), (DROP_OUTPUTS, ((record.id,),)), record=record)

    def keep_output(self, document: int, step: int, output: Output, asked: str) -> int:
        """Queue an output of a step of a document that is not done yet; returns the ticket. It goes when that ends."""
        return self._queue((KEEP_OUTPUT, (output_row(document, step, output, asked),)))

    def remove_documents(self, job: str, documents: Iterable[int]) -> int:
        """Queue the removal of documents with their results; returns the ticket."""
        rows = [(document, job) for document in documents]
        return self._writer.queue([Write(((REMOVE_DOCUMENT, rows),), len(rows), -1, job)] if rows else [])

    def _queue(self, *statements: Statement, grows: int = 0, record: Record | None = None) -> int:
        records = (record,) if record is not None else ()
        instead = self._change_failed if record is not None else None
        write = Write(statements, 1, grows, records=records, instead=instead)
        return self._writer.queue([write] if statements else [])

    def _row(self, record: Record) -> Row:
        """Return the row of a document; of one that cannot be kept as it is, the row that says so."""
        try:
            return document_row(record)
        except (ValueError, TypeError, OverflowError) as error:
            failed = as_failed(record, f"the journal could not keep it: {error}")
            self.changed(failed)
            return document_row(failed)

    def _add_failed(self, record: Record, reason: str) -> Write:
        return Write(((ADD_DOCUMENT, (document_row(as_failed(record, reason)),)),), 1, 1, record.job)

    def _change_failed(self, record: Record, reason: str) -> Write:
        row = _change(document_row(as_failed(record, reason)))
        return Write(((CHANGE_DOCUMENT, (row,)), (DROP_RESULT, ((record.id,),))), 1)

    def _stopped(self, problem: str) -> None:
        self.stopped(problem)

    def _refused(self, record: Record, reason: str) -> None:
        self.changed(as_failed(record, reason))

    def _disconnect(self) -> None:
        # The reader first: SQLite folds the log into the file when the last connection closes, and that one may write.
        with self._read_gate:
            self._reader.close()
        with self._write_gate:
            self._connection.close()
        self.in_flight.release(keep=self._taken is None)  # what a dead process had in work is still to be counted


def _change(row: Row) -> Row:
    return row[2:] + row[:2]


def _by_job(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Cut records into runs of one job each: mostly a single one."""
    start = 0
    for number, record in enumerate(records):
        if record.job != records[start].job:
            yield records[start:number]
            start = number
    if records:
        yield records[start:]
