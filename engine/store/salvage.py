"""Salvage: a damaged journal is set aside, and what can be read of it goes into a new one."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from engine.api.private_files import create_private
from engine.api.state import State
from engine.store.cells import shown
from engine.store.checked import LOST, RECOVERED, checked_document, checked_job, checked_result
from engine.store.checksum import (
    MISFITS,
    Row,
    document_crc,
    document_sql,
    fact_crc,
    job_crc,
    job_sql,
    register,
    result_crc,
)
from engine.store.disk import aside_name, sync_folder
from engine.store.file import (
    PAGE,
    VERSION,
    create_file,
    open_database,
    remove_database,
    tables,
    tables_of_this_layout,
)
from engine.store.record import (
    DOCUMENT_COLUMNS,
    JOB_COLUMNS,
    RESULT_COLUMNS,
    JobRecord,
    as_failed,
    document_row,
    job_row,
)
from engine.store.statements import ADD_DOCUMENT, ADD_JOB, KEEP_OUTPUT, KNOW, insert
from engine.store.step_output import OUTPUT_COLUMNS, output_from

_UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
"""What reading a damaged file raises; the name of a column, and the text of an error, can be what is damaged."""
_STEP_BY_STEP = 64
"""Rows that are tried one by one behind a row that cannot be read, before longer steps are taken."""
_LAST = 1 << 40
"""A document has no larger number than this."""
_AT_ONCE = 500
"""Rows that are held in memory while they go from one file to the other."""

_READY = ".recovered"
"""Behind the journal's name: a file of what was recovered that is complete, and takes the journal's place."""
_COPY = ".salvage"
"""Behind the journal's name: the copy of the damaged file that is read."""
_EARLIER = ".salvaged"
"""What that file was called before layout 3: complete if, and only if, the journal itself is not there."""

_ADD_RESULT = insert("result", RESULT_COLUMNS)
_WAITING = f"'{State.WAITING}'"
_AGAIN = (
    f"UPDATE document SET state = {_WAITING}, lane = -1, reason = ?1, "
    f"crc = {document_sql(DOCUMENT_COLUMNS, state=_WAITING, lane='-1', reason='?1')} "
    f"WHERE state = '{State.DONE}' AND NOT EXISTS (SELECT 1 FROM result WHERE document = id)"
)
_COUNTED = "(SELECT COUNT(*) FROM document WHERE job = job.id)"
_TALLY = f"UPDATE job SET documents = {_COUNTED}, crc = {job_sql(JOB_COLUMNS, documents=_COUNTED)}"
_TOLD = "salvaged"
"""The fact that keeps the sentence for the user until the file is in its place."""


@dataclass(slots=True)
class _Counts:
    """What could be read of a damaged journal, by number."""

    jobs: int = 0
    documents: int = 0
    damaged: int = 0
    """Documents whose row was not what was written; they are kept as failed."""
    expected: int = 0
    """Documents that the jobs say they have; 0 where they do not say."""
    done: int = 0
    again: int = 0


def salvage(path: str, reason: str) -> str:
    """Set the journal at ``path`` aside under a dated name and make a new one of what can be read.

    Returns a sentence for the user that names both and counts what was recovered. What was done and whose result cannot
    be read, or does not fit its checksum, waits again. Nothing of the damaged file is changed, rows go over one by one,
    and wherever this is killed, the journal is the damaged one or the new one. Raises OSError and sqlite3.DatabaseError
    when the disk refuses.
    """
    aside = aside_name(path, "damaged")
    copy, fresh = f"{path}{_COPY}", f"{path}{_READY}.new"
    for name in (copy, fresh):
        remove_database(name)
    try:
        for end in ("", "-wal"):
            if os.path.exists(path + end):
                create_private(copy + end)
                shutil.copyfile(path + end, copy + end)
        counts = _recover(copy, fresh)
        words = f"{counts.documents:,} documents were recovered from it, {counts.done:,} of them with their results"
        if counts.again:
            words += f"; {counts.again:,} whose results could not be read run again"
        if counts.damaged:
            words += f"; the rows of {counts.damaged:,} were damaged, and say so"
        if counts.expected > counts.documents:
            words += f"; {counts.expected - counts.documents:,} are missing"
        told = f"The journal {shown(path)} was damaged ({reason}). It was set aside as {shown(aside)}; {words}."
        with contextlib.closing(open_database(fresh)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(KNOW, (_TOLD, f"{aside}\n{told}", fact_crc(_TOLD, f"{aside}\n{told}")))
        os.replace(fresh, path + _READY)  # from here on it is the journal, whatever happens
        sync_folder(path)
    finally:
        remove_database(copy)
    return "".join(finish_salvage(path))


def finish_salvage(path: str) -> list[str]:
    """Put what was recovered in the place of the damaged journal, if a salvage came so far; returns what to tell of it."""
    ready = path + _READY
    if not os.path.exists(path) and not os.path.exists(ready) and os.path.exists(path + _EARLIER):
        os.replace(path + _EARLIER, ready)
    if not os.path.exists(ready):
        return []
    aside, told = _told(path, ready)
    # The log first: SQLite would replay it into whatever has the journal's name.
    for end in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.replace(path + end, aside + end)
    if os.path.exists(path):
        _keep(path, aside)
    os.replace(ready, path)
    sync_folder(path)
    remove_database(f"{path}{_COPY}")
    return [told]


def _told(path: str, ready: str) -> tuple[str, str]:
    """Take the damaged file's new name, and the sentence for the user, out of the file that is ready."""
    with contextlib.closing(open_database(ready)) as connection:
        row = connection.execute("SELECT value FROM fact WHERE name = ?", (_TOLD,)).fetchone()
        # Kept until the file is in its place: this may be killed, and begin again. There, nobody reads it.
    if row is not None and "\n" in row[0]:
        aside, told = row[0].split("\n", 1)
        return aside, told
    aside = aside_name(path, "damaged")
    return aside, f"The journal {shown(path)} was damaged. What could be read of it was recovered before this start."


def _keep(path: str, aside: str) -> None:
    """Give the damaged file a second name, or a copy where the file system has no links, so that the first can be replaced."""
    if os.path.exists(aside):
        return
    try:
        os.link(path, aside)
    except OSError:
        half = f"{aside}.half"
        create_private(half)
        shutil.copyfile(path, half)
        os.replace(half, aside)


def _recover(copy: str, fresh: str) -> _Counts:
    """Fill ``fresh``; the first page of the damaged file may be what is damaged, and holds where the tables are."""
    found = _attempt(copy, fresh)
    for layout in ("schema.sql", "migrations/layout2.sql"):
        if found is None or not found.jobs + found.documents:
            # Tables are at the same place in every journal of a layout, so the first page of a new one fits.
            _transplant_first_page(copy, layout)
            found = _attempt(copy, fresh) or found
    return found or _Counts()


def _attempt(copy: str, fresh: str) -> _Counts | None:
    """Fill a new file with what can be read through the damaged one's first page; None when that leads nowhere."""
    remove_database(fresh)
    create_file(fresh)
    try:
        with contextlib.closing(open_database(copy)) as source:
            (version,) = source.execute("PRAGMA user_version").fetchone()
            columns = {row[1] for row in source.execute("PRAGMA table_info(document)")}
            if len(columns & set(DOCUMENT_COLUMNS)) < len(DOCUMENT_COLUMNS) - 2:
                return None
            if version >= VERSION and tables(source) != tables_of_this_layout():
                return None
    except _UNREADABLE:
        return None
    with (
        contextlib.closing(open_database(copy)) as source,
        contextlib.closing(open_database(fresh)) as target,
    ):
        source.text_factory = lambda data: data.decode("utf-8", "replace")
        register(target)
        target.execute("PRAGMA synchronous = FULL")
        target.execute("BEGIN IMMEDIATE")
        counts = _carry_over(source, target)
        target.execute("COMMIT")
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return counts


def _carry_over(source: sqlite3.Connection, target: sqlite3.Connection) -> _Counts:
    counts = _Counts()
    jobs: set[str] = set()
    sealed = _has_crc(source, "document")
    for row in _rows(source, "job", (*JOB_COLUMNS, "documents", "crc")):
        if not isinstance(row[0], str) or not row[0]:
            continue
        # Layouts before the third had no checksums of jobs and documents: theirs are those that fit.
        job, whole = checked_job(row if sealed else _sealed_job(row))
        if job.id not in jobs:
            target.execute(ADD_JOB, job_row(job))
            jobs.add(job.id)
            counts.expected += row[-2] if whole and sealed else 0
    for rows in _pieces(_rows(source, "document", (*DOCUMENT_COLUMNS, "crc"))):
        for row in rows:
            _carry_document(target, row if sealed else _sealed_document(row), jobs, counts)
    for rows in _pieces(_rows(source, "result", RESULT_COLUMNS)):
        whole = [
            row
            for row in (row if row[-1] is not None or sealed else _sealed_result(row) for row in rows)
            if _is_whole(row)
        ]
        for row in whole:
            done = f"SELECT 1 FROM document WHERE id = ? AND state = '{State.DONE}'"
            if target.execute(done, (row[0],)).fetchone():
                target.execute(_ADD_RESULT.replace("INSERT", "INSERT OR IGNORE"), row)
    if _has_crc(source, "output"):
        for row in _rows(source, "output", OUTPUT_COLUMNS):
            if output_from(row) is not None:
                target.execute(KEEP_OUTPUT, row)
    counts.again = target.execute(_AGAIN, (LOST,)).rowcount
    (counts.done,) = target.execute(f"SELECT COUNT(*) FROM document WHERE state = '{State.DONE}'").fetchone()
    target.execute(_TALLY)
    counts.jobs = len(jobs)
    number = str(counts.jobs)
    target.execute(KNOW, ("jobs", number, fact_crc("jobs", number)))
    for name, value, crc in _rows(source, "fact", ("name", "value", "crc")):
        if name == "flight" and isinstance(value, str) and (crc == fact_crc(name, value) or not sealed):
            target.execute(KNOW, (name, value, fact_crc(name, value)))
    return counts


def _carry_document(target: sqlite3.Connection, row: Row, jobs: set[str], counts: _Counts) -> None:
    record, whole = checked_document(row)
    if not isinstance(record.id, int) or not isinstance(row[1], str) or not isinstance(row[3], bytes) or not row[3]:
        return
    if record.job not in jobs:
        if not whole:
            return
        target.execute(ADD_JOB, job_row(JobRecord(record.job, RECOVERED, status="paused")))
        jobs.add(record.job)
    if not whole:
        record = as_failed(record, record.reason)
        counts.damaged += 1
    if target.execute(ADD_DOCUMENT.replace("INSERT", "INSERT OR IGNORE"), document_row(record)).rowcount:
        counts.documents += 1


def _pieces(rows: Iterator[Row]) -> Iterator[list[Row]]:
    piece: list[Row] = []
    for row in rows:
        piece.append(row)
        if len(piece) == _AT_ONCE:
            yield piece
            piece = []
    yield piece


def _has_crc(connection: sqlite3.Connection, table: str) -> bool:
    return any(row[1] == "crc" for row in connection.execute(f"PRAGMA table_info({table})"))


def _sealed_job(row: Row) -> Row:
    try:
        return *row[:-1], job_crc(row[:-2], row[-2])
    except MISFITS:
        return row


def _sealed_document(row: Row) -> Row:
    try:
        return *row[:-1], document_crc(row[:-1])
    except MISFITS:
        return row


def _sealed_result(row: Row) -> Row:
    try:
        return *row[:-1], result_crc(*row[:-1])
    except MISFITS:
        return row


def _transplant_first_page(copy: str, layout: str) -> None:
    fresh = f"{copy}.fresh"
    create_file(fresh, layout)
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


def _is_whole(row: Row) -> bool:
    return isinstance(row[0], int) and checked_result(row) is not None


def _rows(connection: sqlite3.Connection, table: str, columns: tuple[str, ...]) -> Iterator[Row]:
    """Walk a table by its row numbers, stepping over what cannot be read, and over numbers that go back.

    On a damaged page they can: only what is beyond the last one counts, or this might never end.
    """
    present = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    names = ", ".join(name if name in present else _absent(name) for name in columns)
    query = f"SELECT rowid, {names} FROM {table} NOT INDEXED WHERE rowid >= ? ORDER BY rowid LIMIT 256"
    at = 0
    while at < _LAST:
        before, met = at, False
        try:
            for row in connection.execute(query, (at,)):
                met = True
                if row[0] >= at:
                    at = row[0] + 1
                    yield row[1:]
            if not met:
                return
            if at == before:
                at = _next_readable(connection, table, at)
        except _UNREADABLE:
            at = _next_readable(connection, table, at)


def _absent(column: str) -> str:
    """Return the value, in SQL, that a column has which an older layout has not."""
    known = {"deaths": "0", "documents": "0", "crc": "NULL", "on_bad_bytes": "'fail'"}
    return known.get(column, "''") + f" AS {column}"


def _next_readable(connection: sqlite3.Connection, table: str, at: int) -> int:
    """Return the next row number from which on rows can be read; ``_LAST`` when there is none."""
    query = f"SELECT rowid, * FROM {table} NOT INDEXED WHERE rowid >= ? ORDER BY rowid LIMIT 1"

    def reads(number: int) -> bool:
        try:
            row = connection.execute(query, (number,)).fetchone()
            return row is not None and row[0] >= number
        except _UNREADABLE:
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
