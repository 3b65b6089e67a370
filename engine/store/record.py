"""What the journal keeps: jobs, documents and results, as frozen dataclasses and as rows of SQLite."""

from __future__ import annotations

import json
import math
import os
import zlib
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from engine.errors import DocumentError
from engine.store.cells import clean, shown

Row = tuple[Any, ...]
"""A row of values as SQLite takes and gives them."""


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job: its pile is the documents that name it.

    ``created`` in seconds since the epoch; ``settings`` are the task's own, by name; ``status`` is a status of
    ``snapshot.JobState``; ``model`` is the folder of the model, or empty. ``encoding`` and ``on_bad_bytes`` are how its
    files are read; ``command`` tells a command of ``heddle run`` from others, and is empty for the window's jobs.
    """

    id: str
    name: str = ""
    created: float = 0.0
    task: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    priority: int = 0
    status: str = "ready"
    model: str = ""
    encoding: str = ""
    on_bad_bytes: str = "fail"
    command: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """A document of a job's pile.

    ``id`` is chosen by the engine and unique in the journal; ``position`` is the order of adding; ``path`` is the name
    as ``os.fsdecode`` gives it; ``state`` a value of ``documents.State``. The rest is as in ``snapshot.DocumentRow``:
    ``tokens`` and ``lane`` are -1 until known, ``coverage`` and ``unknown_share`` run from 0 to 1, ``seconds`` is the
    time the lane took. ``deaths`` counts how often the engine ended while the document was in work.
    """

    id: int
    job: str
    position: int
    path: str
    size: int = 0
    mtime_ns: int = 0
    sha256: str = ""
    encoding: str = ""
    confidence: float = 1.0
    state: str = "waiting"
    reason: str = ""
    tokens: int = -1
    unknown_share: float = 0.0
    coverage: float = 1.0
    seconds: float = 0.0
    lane: int = -1
    deaths: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What a task made of one document: ``value`` is a JSON object, ``vector`` little-endian float32 or None.

    ``dimension`` is the number of floats in ``vector``, 0 without one. ``key`` is by what another job finds the answer
    to the same question about the same content (question.key), empty when it must not.
    """

    document: int
    value: dict[str, Any]
    vector: bytes | None = None
    dimension: int = 0
    key: str = ""


JOB_COLUMNS = tuple(f.name for f in fields(JobRecord))
DOCUMENT_COLUMNS = tuple(f.name for f in fields(Record))
RESULT_COLUMNS = ("document", "json", "vector", "key", "crc")


def job_value(name: str, value: Any) -> Any:
    """Return the field ``name`` of a job as SQLite keeps it; settings become JSON."""
    if name == "settings":
        return json_text(value)
    return clean(value) if isinstance(value, str) else value


def job_row(job: JobRecord) -> Row:
    """Return a job in the order of JOB_COLUMNS."""
    return tuple(job_value(name, getattr(job, name)) for name in JOB_COLUMNS)


def job_from(row: Row) -> JobRecord:
    """Build the job of a row in the order of JOB_COLUMNS."""
    values = dict(zip(JOB_COLUMNS, row, strict=True))
    values["settings"] = json.loads(values["settings"])
    return JobRecord(**values)


def document_row(record: Record) -> Row:
    """Return a document in the order of DOCUMENT_COLUMNS; raises ValueError for a number that is not finite."""
    numbers = (record.confidence, record.unknown_share, record.coverage, record.seconds)
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"document {record.id}: confidence, unknown share, coverage and seconds must be finite")
    return (
        record.id,
        clean(record.job),
        record.position,
        os.fsencode(record.path),
        record.size,
        record.mtime_ns,
        clean(record.sha256),
        clean(record.encoding),
        record.confidence,
        clean(record.state),
        clean(record.reason),
        record.tokens,
        record.unknown_share,
        record.coverage,
        record.seconds,
        record.lane,
        record.deaths,
    )


def document_from(row: Row) -> Record:
    """Build the document of a row in the order of DOCUMENT_COLUMNS."""
    values = dict(zip(DOCUMENT_COLUMNS, row, strict=True))
    values["path"] = os.fsdecode(values["path"])
    return Record(**values)


def result_row(record: Record, result: Result) -> Row:
    """Return a result in the order of RESULT_COLUMNS.

    Raises DocumentError when the result holds a NaN or an infinity (the model overflowed: no JSON and no use), and
    ValueError when the parts do not belong together.
    """
    if result.document != record.id:
        raise ValueError(f"a result of document {result.document} for document {record.id}")
    if len(result.vector or b"") != 4 * result.dimension or (result.vector is None) != (result.dimension == 0):
        raise ValueError(f"document {record.id}: {len(result.vector or b'')} bytes for {result.dimension} float32")
    try:
        text = json_text(result.value)
        finite = result.vector is None or bool(np.isfinite(np.frombuffer(result.vector, "<f4")).all())
    except ValueError as error:
        raise _not_a_number(record) from error
    if not finite:
        raise _not_a_number(record)
    return record.id, text, result.vector, result.key, checksum(record.id, text, result.vector, result.key)


def result_from(row: Row) -> Result:
    """Build the result of a row (document, JSON text, vector, key)."""
    document, text, vector, key = row
    return Result(document, json.loads(text), vector, len(vector or b"") // 4, key)


def checksum(document: int, text: str, vector: bytes | None, key: str) -> int:
    """Return the CRC-32 of a result's row: SQLite's pages have no checksum that would tell a flipped bit."""
    return zlib.crc32(vector or b"", zlib.crc32(f"{document} {key} {text}".encode()))


def json_text(value: Any) -> str:
    """Return ``value`` as compact JSON that UTF-8 can hold; raises ValueError for NaN and infinities."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # lone surrogates survive as JSON escapes only
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text


def _not_a_number(record: Record) -> DocumentError:
    return DocumentError(
        f"{shown(record.path)}: the model answered with a value that is not a number. "
        "Retry it; if it happens again, choose the number format float32."
    )
