"""Rows that are checked as they are read: what does not fit its checksum is never given out as genuine."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import Any

from engine.api.state import State
from engine.store.cells import clean
from engine.store.checksum import Row, document_crc, fits, job_crc, result_crc
from engine.store.record import (
    DOCUMENT_COLUMNS,
    JOB_COLUMNS,
    LARGEST,
    STATES,
    JobRecord,
    Record,
    Result,
    document_from,
    job_from,
    result_from,
)

DAMAGED = "its row in the journal was damaged, so its name is not certain; add the file again"
"""Why a document fails whose row is not what was written."""

LOST = "its result in the journal was damaged; it runs again"
"""Why a document waits that was done."""

RECOVERED = "recovered"
"""Name of a job whose row is not what was written."""

_WIDTH = len(DOCUMENT_COLUMNS)
_NAMELESS = "name lost"


def checked_job(row: Row) -> tuple[JobRecord, bool]:
    """Return the job of a row (JOB_COLUMNS, documents, crc), and whether the row is what was written.

    One that is not gives a paused job without a task: what it should do cannot be trusted any more.
    """
    *values, documents, crc = row
    if fits(crc, job_crc, values, documents):
        try:
            return job_from(tuple(values)), True
        except (ValueError, TypeError):  # a row of an older layout that was damaged before it had a checksum
            pass
    named = dict(zip(JOB_COLUMNS, values, strict=True))
    created = named["created"]
    return JobRecord(clean(str(named["id"])), RECOVERED, created if _is_time(created) else 0.0, status="paused"), False


def checked_document(row: Row) -> tuple[Record, bool]:
    """Return the document of a row (DOCUMENT_COLUMNS, crc), and whether the row is what was written.

    One that is not gives a document that failed for that reason, under the name that can be read and a mark: that name is
    never taken for a file's.
    """
    values, crc = row[:_WIDTH], row[_WIDTH]
    if fits(crc, document_crc, values) and values[9] in STATES:
        return document_from(values), True
    number, job, position, path = values[:4]
    name = os.fsdecode(path) if isinstance(path, bytes) and path else _NAMELESS
    name = f"{name} (damaged row {number})"  # it could have become that of another document
    at = position if isinstance(position, int) else 0
    return Record(number, clean(str(job)), at, name, state=str(State.FAILED), reason=DAMAGED), False


def checked_result(row: Row) -> Result | None:
    """Return the result of a row (RESULT_COLUMNS), or None when it is not what was written."""
    document, text, vector, key, crc = row
    if not isinstance(vector, bytes | None) or not isinstance(text, str) or not isinstance(key, str):
        return None  # a checksum does not tell NULL from 0
    if not fits(crc, result_crc, document, text, vector, key) or len(vector or b"") % 4:
        return None
    try:
        return result_from((document, text, vector, key))
    except (ValueError, RecursionError):
        return None


def checked_pair(row: Row, *, vectors: bool = True) -> tuple[Record, Result | None, bool]:
    """Return document and result of a joined row (DOCUMENT_COLUMNS, crc, RESULT_COLUMNS), and whether both are whole.

    A document whose result is damaged, or gone, waits again.
    """
    record, whole = checked_document(row[: _WIDTH + 1])
    if not whole or record.state != State.DONE:
        return record, None, whole
    result = None if row[_WIDTH + 1] is None else checked_result(row[_WIDTH + 1 :])
    if result is None:
        return lost(record), None, False
    return record, result if vectors else Result(result.document, result.value, None, 0, result.key), True


def lost(record: Record) -> Record:
    """Return a done document whose result is gone: it waits again."""
    values = {item.name: getattr(record, item.name) for item in fields(Record)}
    return Record(**{**values, "state": str(State.WAITING), "reason": LOST, "worker": -1})


def as_kept(row: Row) -> str:
    """Return a damaged row as text, with everything in it that could be read."""
    return ascii(row)[:100_000]


def _is_time(value: Any) -> bool:
    return isinstance(value, float) and abs(value) < LARGEST
