"""The journal's file: looked at before it is opened, so that what is not ours stays as it is."""

from __future__ import annotations

import contextlib
import importlib.resources
import os
import sqlite3
from pathlib import Path
from typing import Any

from engine.errors import HeddleError
from engine.store.cells import shown
from engine.store.disk import sync_folder

APPLICATION_ID = 0x4864646C
"""``Hddl`` in the file's header: a journal, and no other SQLite database."""

VERSION = 1
"""Layout of the tables, kept as ``user_version``. It is written before WAL begins, so the header has it."""

_MAGIC = b"SQLite format 3\x00"
_HEADER = 100
_PATIENCE = 1.0
"""Seconds SQLite waits for somebody else's lock; there should be nobody else."""


def connect(path: str | None) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """Return the writing connection of the journal at ``path`` and one to read with.

    For None, in memory, both are the same. Otherwise the file is created, or it is checked and opened; the reader
    cannot write, and never checkpoints. Raises HeddleError, and leaves the file as it was, when it is foreign,
    damaged, or written by a newer version.
    """
    if path is None:
        writer = _open(":memory:")
        _create(writer)
        _prepare(writer)
        return writer, writer
    with contextlib.ExitStack() as opened:
        try:
            if not os.path.exists(path) or os.path.getsize(path) == 0:
                _create_file(path)
            else:
                _check_header(path)
                _check_pages(path)
            writer = opened.enter_context(contextlib.closing(_open(path)))
            (mode,) = writer.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                raise _refusal(path, "its disk cannot hold a write-ahead log. Choose a folder on a local disk.")
            _prepare(writer)
            reader = opened.enter_context(contextlib.closing(_open_to_read(path)))
            reader.execute("PRAGMA mmap_size = 0")
        except sqlite3.DatabaseError as error:
            raise _refusal(path, f"{error}. Check the folder, or choose another one.") from error
        except OSError as error:
            raise _refusal(path, f"{error.strerror}. Check the folder, or choose another one.") from error
        opened.pop_all()
    return writer, reader


def _open(database: str, **options: Any) -> sqlite3.Connection:
    # Threads: every use of a connection is under its lock in Journal, so the module's own check is only in the way.
    return sqlite3.connect(database, timeout=_PATIENCE, isolation_level=None, check_same_thread=False, **options)


def _open_to_read(path: str, options: str = "") -> sqlite3.Connection:
    return _open(f"{Path(os.path.abspath(path)).as_uri()}?mode=ro{options}", uri=True)


def _prepare(writer: sqlite3.Connection) -> None:
    """Set what SQLite keeps per connection.

    FULL: in WAL mode each commit is synced, so what was acknowledged survives a power loss as well; NORMAL would only
    survive the death of the process. The price, one sync a batch and at most five a second, is paid by the writer
    thread. No memory map: a disk error on a mapped page is a SIGBUS, and no exception.
    """
    writer.execute("PRAGMA foreign_keys = ON")
    writer.execute("PRAGMA synchronous = FULL")
    writer.execute("PRAGMA mmap_size = 0")


def _create(connection: sqlite3.Connection) -> None:
    connection.executescript(importlib.resources.files("engine.store").joinpath("schema.sql").read_text("utf-8"))


def _create_file(path: str) -> None:
    """Make a complete, empty journal under another name and move it into place: there is never half of one."""
    if os.path.exists(f"{path}-wal"):
        # SQLite would replay a log that lost its database into whatever has the name now.
        log = shown(f"{path}-wal")
        raise _refusal(path, f"the file is gone, but its log {log} is still there. Move the log away.")
    new = f"{path}.new"
    for name in (new, f"{new}-journal", f"{new}-wal", f"{new}-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
    with contextlib.closing(_open(new)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        _create(connection)
        connection.execute("PRAGMA journal_mode = WAL")
    os.replace(new, path)
    sync_folder(path)


def _check_header(path: str) -> None:
    """Refuse a file by its first hundred bytes alone (https://www.sqlite.org/fileformat.html, 1.3)."""
    with open(path, "rb") as file:
        header = file.read(_HEADER)
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        raise _refusal(path, "it is not a journal, or its beginning is damaged. Move it away, or choose another name.")
    version = int.from_bytes(header[60:64], "big")
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise _refusal(path, "it is a database of another program. Choose another name.")
    _check_version(path, version)


def _check_version(path: str, version: int) -> None:
    if version != VERSION:
        raise _refusal(
            path,
            f"it was written by another version of Heddle (layout {version}, this one writes {VERSION}). "
            "It was left untouched: open it with that version, or choose another name.",
        )


def _check_pages(path: str) -> None:
    """Refuse a file with damaged pages, over a connection that cannot write.

    A log that a kill left behind is read along. Without one nobody has the file open, and SQLite is told that nothing
    changes meanwhile, or it would leave an empty log of its own.
    """
    try:
        options = "" if os.path.exists(f"{path}-wal") else "&immutable=1"
        with contextlib.closing(_open_to_read(path, options)) as reader:
            (verdict,) = reader.execute("PRAGMA quick_check(1)").fetchone()
            (version,) = reader.execute("PRAGMA user_version").fetchone()
    except sqlite3.OperationalError:
        raise  # locked, or no permission: nothing wrong with the pages
    except sqlite3.DatabaseError as error:
        raise _refusal(path, f"it is damaged ({error}). Move it away and start again.") from error
    _check_version(path, version)
    if verdict != "ok":
        raise _refusal(path, f"it is damaged ({verdict}). Move it away and start again.")


def _refusal(path: str, reason: str) -> HeddleError:
    return HeddleError(f"The journal {shown(path)} cannot be used: {reason}")
