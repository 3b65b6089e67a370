"""Checksums of rows: SQLite's pages have none, so a bit that flips in a row would pass for what was written.

CRC-32 of a row's values in one pass. The same numbers are computed here and, as functions of SQL, inside statements that
change part of a row (`register`); text goes into those as bytes, since text with a flipped bit need not be UTF-8.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

Row = tuple[Any, ...]
"""A row of values as SQLite takes and gives them."""

JOB_TEXTS = ("id", "name", "task", "settings", "status", "model", "encoding", "on_bad_bytes", "command")
DOCUMENT_TEXTS = ("job", "sha256", "encoding", "state", "reason", "locator")
"""Columns that are text, and go into the functions of SQL as bytes."""

MISFITS = (TypeError, ValueError, AttributeError, struct.error)
"""What computing a checksum raises for values of a wrong type, as a flipped bit can make them (UnicodeError included)."""

_JOB_NUMBERS = struct.Struct("<dqq").pack
_DOCUMENT_NUMBERS = struct.Struct("<qqqqddddqqq").pack


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def job_crc(row: Sequence[Any], documents: int) -> int:
    """Return the checksum of a job: ``row`` in the order of record.JOB_COLUMNS, and the count of its documents."""
    id_, name, created, task, settings, priority, status, model, encoding, on_bad_bytes, command = row
    texts = (id_, name, task, settings, status, model, encoding, on_bad_bytes, command)
    return crc32(_JOB_NUMBERS(created, priority, documents), crc32(b"\0".join(map(_bytes, texts))))


def document_crc(row: Sequence[Any]) -> int:
    """Return the checksum of a document: ``row`` in the order of record.DOCUMENT_COLUMNS.

    An empty locator is left out: rows of layout 3, which had none, keep their checksums.
    """
    id_, job, position, path, size, mtime, sha256, encoding, confidence, state, reason, tokens, *rest = row
    unknown, coverage, seconds, worker, deaths, locator = rest
    numbers = _DOCUMENT_NUMBERS(
        id_, position, size, mtime, confidence, unknown, coverage, seconds, tokens, worker, deaths
    )
    if isinstance(job, bytes):
        texts = b"\0".join((job, sha256, encoding, state, reason))
    else:
        texts = f"{job}\0{sha256}\0{encoding}\0{state}\0{reason}".encode()
    if locator:
        texts += b"\0" + _bytes(locator)
    return crc32(numbers, crc32(path, crc32(texts)))


def result_crc(document: int, json: str | bytes, vector: bytes | None, key: str | bytes) -> int:
    """Return the checksum of a result."""
    text = b"%d %s %s" % (document, _bytes(key), _bytes(json))
    return crc32(vector or b"", crc32(text))


def fact_crc(name: str | bytes, value: str | bytes) -> int:
    """Return the checksum of a fact."""
    return crc32(_bytes(value), crc32(_bytes(name)))


def fits(crc: Any, compute: Callable[..., int], *values: Any) -> bool:
    """Tell whether ``compute(*values)`` is ``crc``; values of a wrong type, as a flipped bit can make them, do not fit."""
    try:
        return bool(compute(*values) == crc)
    except MISFITS:
        return False


def register(connection: sqlite3.Connection) -> None:
    """Give ``connection`` the functions job_crc, document_crc, result_crc and fact_crc; a row that has none gets NULL."""

    def safe(compute: Callable[..., int]) -> Callable[..., int | None]:
        def computed(*values: Any) -> int | None:
            try:
                return compute(*values)
            except MISFITS:
                return None

        return computed

    functions: dict[str, tuple[int, Callable[..., int]]] = {
        "job_crc": (12, lambda *values: job_crc(values[:-1], values[-1])),
        "document_crc": (18, lambda *values: document_crc(values)),
        "result_crc": (4, result_crc),
        "fact_crc": (2, fact_crc),
    }
    for name, (count, compute) in functions.items():
        connection.create_function(name, count, safe(compute), deterministic=True)


def job_sql(columns: Sequence[str], **new: str) -> str:
    """Return the SQL of a job's checksum; ``new`` gives the SQL of columns that have another value than the row's."""
    return f"job_crc({_arguments((*columns, 'documents'), JOB_TEXTS, new)})"


def document_sql(columns: Sequence[str], **new: str) -> str:
    """Return the SQL of a document's checksum, as ``job_sql`` does for a job's."""
    return f"document_crc({_arguments(columns, DOCUMENT_TEXTS, new)})"


RESULT_SQL = "result_crc(document, CAST(json AS BLOB), vector, CAST(key AS BLOB))"
"""The SQL of a result's checksum."""

FACT_SQL = "fact_crc(CAST(name AS BLOB), CAST(value AS BLOB))"
"""The SQL of a fact's checksum."""


def _arguments(columns: Sequence[str], texts: Sequence[str], new: dict[str, str]) -> str:
    values = [(column, new.get(column, column)) for column in columns]
    return ", ".join(f"CAST({value} AS BLOB)" if column in texts else value for column, value in values)
