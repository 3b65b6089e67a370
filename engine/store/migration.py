"""Migrations: a journal of an older layout is backed up, then brought forward in one transaction."""

from __future__ import annotations

import contextlib
import os
import sqlite3

from engine.api.private_files import create_private
from engine.store import checksum
from engine.store.cells import shown
from engine.store.checksum import FACT_SQL, RESULT_SQL, document_sql, job_sql
from engine.store.disk import aside_name, sync_folder
from engine.store.file import VERSION, open_database, refusal, sql_text
from engine.store.record import DOCUMENT_COLUMNS, JOB_COLUMNS

_FILL = {
    3: (
        "UPDATE job SET documents = (SELECT COUNT(*) FROM document WHERE job = job.id)",
        f"UPDATE job SET crc = COALESCE({job_sql(JOB_COLUMNS)}, 0)",
        f"UPDATE document SET crc = COALESCE({document_sql(DOCUMENT_COLUMNS)}, 0)",
        f"UPDATE result SET crc = {RESULT_SQL} WHERE crc IS NULL",
        "INSERT OR REPLACE INTO fact (name, value) SELECT 'jobs', CAST(COUNT(*) AS TEXT) FROM job",
        f"UPDATE fact SET crc = {FACT_SQL}",
    )
}
"""What is computed once all tables are those of this layout: the checksums, which layout 3 began with."""


def migrate(path: str, version: int) -> str:
    """Bring the journal at ``path`` from layout ``version`` to this one; returns a sentence that names the backup.

    The backup is a whole journal of the old layout under a dated name. All steps are one transaction: whatever fails,
    or kills, leaves the old layout. Raises sqlite3.DatabaseError and OSError, and HeddleError when the result has
    references to nothing.
    """
    with contextlib.closing(open_database(path)) as connection:
        checksum.register(connection)
        connection.execute("PRAGMA synchronous = FULL")
        backup = _back_up(connection, path, version)
        connection.execute("BEGIN IMMEDIATE")
        try:
            layouts = range(version + 1, VERSION + 1)
            # Not executescript, which would commit first.
            for statement in (s for layout in layouts for s in _statements(sql_text(f"migrations/{layout}.sql"))):
                connection.execute(statement)
            for statement in (s for layout in layouts for s in _FILL.get(layout, ())):
                connection.execute(statement)
            if connection.execute("PRAGMA foreign_key_check").fetchall():
                raise refusal(path, f"some of its rows refer to nothing. Its backup is {shown(backup)}.")
            connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        # Pages of deleted rows can be given back piece by piece only after this. It needs the journal's room once more: a
        # full disk leaves the journal as it is, and whole.
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("VACUUM")
    return (
        f"The journal {shown(path)} was brought from layout {version} to {VERSION}; "
        f"as it was before, it is kept as {shown(backup)}."
    )


def _back_up(connection: sqlite3.Connection, path: str, version: int) -> str:
    name = aside_name(path, f"layout{version}")
    new = f"{name}.new"
    create_private(new)
    with contextlib.closing(open_database(new)) as copy:
        connection.backup(copy)
    with open(new, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(new, name)
    sync_folder(name)
    return name


def _statements(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    return [part for part in "\n".join(lines).split(";") if part.strip()]
