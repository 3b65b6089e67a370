"""Salvage: a damaged journal is set aside, and what can be read of it goes into a new one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.documents.document import State
from engine.store.cells import shown
from engine.store.disk import aside_name, sync_folder
from engine.store.file import PAGE, create_file, open_database, remove_database
from engine.store.record import (
    DOCUMENT_COLUMNS,
    JOB_COLUMNS,
    RESULT_COLUMNS,
    JobRecord,
    Record,
    Row,
    checksum,
    document_from,
    document_row,
    job_from,
    job_row,
)

_STEP_BY_STEP = 64
"""Rows that are tried one by one behind a row that cannot be read, before longer steps are taken."""
_LAST = 1 << 40
"""A document has no larger number than this."""
_RECOVERED_JOB = "recovered"


@dataclass(slots=True)
class _Found:
    """What could be read of a damaged journal."""

    jobs: dict[str, JobRecord]
    documents: dict[int, Record]
    results: dict[int, Row]


def salvage(path: str, reason: str) -> str:
    """Set the journal at ``path`` aside under a dated name and make a new one of what can be read.

    Returns a sentence for the user that names both and counts what was recovered. What was done and whose result cannot
    be read, or does not fit its checksum, waits again. Nothing of the damaged file is changed. Raises OSError and
    sqlite3.DatabaseError when the disk refuses.
    """
    aside = aside_name(path, "damaged")
    copy = f"{path}.salvage"
    remove_database(copy)
    try:
        shutil.copyfile(path, copy)
        if os.path.exists(f"{path}-wal"):
            shutil.copyfile(f"{path}-wal", f"{copy}-wal")
        found = _read(copy)
        fresh = f"{path}.salvaged"
        remove_database(fresh)
        create_file(fresh)
        again = _fill(fresh, found)
        for end in ("-wal", "-shm", ""):
            with contextlib.suppress(FileNotFoundError):
                os.replace(path + end, aside + end)
        os.replace(fresh, path)
        sync_folder(path)
    finally:
        remove_database(copy)
    done = sum(record.state == State.DONE for record in found.documents.values())
    words = f"{len(found.documents):,} documents were recovered from it, {done:,} of them with their results"
    if again:
        words += f"; {again:,} whose results could not be read run again"
    return f"The journal {shown(path)} was damaged ({reason}). It was set aside as {shown(aside)}; {words}."


def _read(copy: str) -> _Found:
    found = _attempt(copy)
    if found is None:
        # The first page holds the header and where the tables are. Ours are at the same place in every journal, so the
        # first page of a new one fits.
        _transplant_first_page(copy)
        found = _attempt(copy)
    return found or _Found({}, {}, {})


def _attempt(copy: str) -> _Found | None:
    """Return what can be read through the file's own first page; None when that leads nowhere."""
    try:
        with contextlib.closing(open_database(copy)) as connection:
            connection.text_factory = lambda data: data.decode("utf-8", "replace")
            columns = [row[1] for row in connection.execute("PRAGMA table_info(document)")]
            if len(columns) < len(DOCUMENT_COLUMNS) - 1:
                return None
            return _sift(connection)
    except sqlite3.DatabaseError:
        return None


def _transplant_first_page(copy: str) -> None:
    fresh = f"{copy}.fresh"
    create_file(fresh)
    try:
        with open(fresh, "rb") as file:
            page = bytearray(file.read(PAGE))
        pages = max(os.path.getsize(copy), os.path.getsize(fresh)) // PAGE  # an older layout has fewer tables
    finally:
        remove_database(fresh)
    page[28:32] = pages.to_bytes(4, "big")
    page[92:96] = page[24:28]  # and that number is valid for this change counter
    page[32:40] = bytes(8)  # no free pages
    with open(copy, "rb+") as file:
        file.write(page)
        file.truncate(pages * PAGE)


def _sift(connection: sqlite3.Connection) -> _Found:
    jobs: dict[str, JobRecord] = {}
    for row in _rows(connection, "job", JOB_COLUMNS):
        with contextlib.suppress(ValueError, TypeError):
            job = job_from(row)
            if _has_types_of(job, JobRecord("")):
                jobs[job.id] = job
    states = {str(state) for state in State}
    like = Record(0, "", 0, "")
    documents: dict[int, Record] = {}
    for row in _rows(connection, "document", DOCUMENT_COLUMNS):
        with contextlib.suppress(ValueError, TypeError):
            record = document_from(row)
            if _has_types_of(record, like) and record.state in states and record.path:
                document_row(record)  # raises for numbers that are none
                documents[record.id] = record
    for record in documents.values():
        jobs.setdefault(record.job, JobRecord(record.job, _RECOVERED_JOB))
    results: dict[int, Row] = {}
    for row in _rows(connection, "result", RESULT_COLUMNS):
        if _is_whole(row) and row[0] in documents:
            results[row[0]] = row
    return _Found(jobs, documents, results)


def _has_types_of(found: JobRecord | Record, like: JobRecord | Record) -> bool:
    """Tell whether every field has the type that it should have: SQLite checks what is written, not what is read."""
    return all(type(getattr(found, name)) is type(getattr(like, name)) for name in found.__dataclass_fields__)


def _is_whole(row: Row) -> bool:
    document, text, vector, key, crc = row
    if not isinstance(document, int) or not isinstance(text, str) or not isinstance(key, str):
        return False
    if not isinstance(vector, bytes | None) or len(vector or b"") % 4:
        return False
    try:
        return isinstance(json.loads(text), dict) and crc in {None, checksum(document, text, vector, key)}
    except (ValueError, RecursionError):
        return False


def _rows(connection: sqlite3.Connection, table: str, columns: tuple[str, ...]) -> Iterator[Row]:
    """Walk a table by its row numbers, stepping over what cannot be read."""
    present = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    names = ", ".join(name if name in present else _absent(name) for name in columns)
    query = f"SELECT rowid, {names} FROM {table} NOT INDEXED WHERE rowid >= ? ORDER BY rowid LIMIT 256"
    at = 0
    while at < _LAST:
        before = at
        try:
            for row in connection.execute(query, (at,)):
                at = row[0] + 1
                yield row[1:]
            if at == before:
                return
        except sqlite3.Error:
            at = _next_readable(connection, table, at)


def _absent(column: str) -> str:
    """Return the value, in SQL, that a column has which an older layout has not."""
    return {"deaths": "0", "crc": "NULL", "on_bad_bytes": "'fail'"}.get(column, "''") + f" AS {column}"


def _next_readable(connection: sqlite3.Connection, table: str, at: int) -> int:
    """Return the next row number from which on rows can be read; ``_LAST`` when there is none."""
    query = f"SELECT * FROM {table} NOT INDEXED WHERE rowid >= ? ORDER BY rowid LIMIT 1"

    def reads(number: int) -> bool:
        try:
            return connection.execute(query, (number,)).fetchone() is not None
        except sqlite3.Error:
            return False

    for number in range(at + 1, at + 1 + _STEP_BY_STEP):
        if reads(number):
            return number
    bad, step = at + _STEP_BY_STEP, _STEP_BY_STEP
    while not reads(bad + step):
        bad += step
        step *= 2
        if bad > _LAST:
            return _LAST
    good = bad + step
    while good - bad > 1:
        middle = (good + bad) // 2
        if reads(middle):
            good = middle
        else:
            bad = middle
    return good


def _fill(path: str, found: _Found) -> int:
    """Write what was found into the new journal at ``path``; returns how many done documents have to run again."""
    again = 0
    for number, record in found.documents.items():
        if record.state == State.DONE and number not in found.results:
            again += 1
            found.documents[number] = replace(record, state=str(State.WAITING), lane=-1)
        elif record.state != State.DONE:
            found.results.pop(number, None)
    with contextlib.closing(open_database(path)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        for table, columns, rows in (
            ("job", JOB_COLUMNS, [job_row(job) for job in found.jobs.values()]),
            ("document", DOCUMENT_COLUMNS, [document_row(record) for record in found.documents.values()]),
            ("result", RESULT_COLUMNS, list(found.results.values())),
        ):
            marks = ", ".join("?" * len(columns))
            connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)
        connection.execute("COMMIT")
    return again
