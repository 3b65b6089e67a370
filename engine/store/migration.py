"""Migrations: a journal of an older layout is backed up, then brought forward in one transaction."""

from __future__ import annotations

import contextlib
import os
import sqlite3

from engine.store.cells import shown
from engine.store.disk import aside_name, sync_folder
from engine.store.file import VERSION, open_database, refusal, sql_text


def migrate(path: str, version: int) -> str:
    """Bring the journal at ``path`` from layout ``version`` to this one; returns a sentence that names the backup.

    The backup is a whole journal of the old layout under a dated name. All steps are one transaction: whatever fails,
    or kills, leaves the old layout. Raises sqlite3.DatabaseError and OSError, and HeddleError when the result has
    references to nothing.
    """
    with contextlib.closing(open_database(path)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        backup = _back_up(connection, path, version)
        connection.execute("BEGIN IMMEDIATE")
        try:
            for layout in range(version + 1, VERSION + 1):
                # Not executescript, which would commit first.
                for statement in _statements(sql_text(f"migrations/{layout}.sql")):
                    connection.execute(statement)
            if connection.execute("PRAGMA foreign_key_check").fetchall():
                raise refusal(path, f"some of its rows refer to nothing. Its backup is {shown(backup)}.")
            connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return (
        f"The journal {shown(path)} was brought from layout {version} to {VERSION}; "
        f"as it was before, it is kept as {shown(backup)}."
    )


def _back_up(connection: sqlite3.Connection, path: str, version: int) -> str:
    name = aside_name(path, f"layout{version}")
    new = f"{name}.new"
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
