"""The journal's file: held by one process, looked at before it is opened, so that what is not ours stays as it is."""

from __future__ import annotations

import contextlib
import importlib.resources
import os
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import HeddleError
from engine.store.cells import shown
from engine.store.disk import aside_name, sync_folder
from engine.store.hold import Hold, NoHold

APPLICATION_ID = 0x4864646C
"""``Hddl`` in the file's header: a journal, and no other SQLite database."""

VERSION = 2
"""Layout of the tables, kept as ``user_version``. It is written before WAL begins, so the header has it."""

PAGE = 4096
"""Bytes in a page of every journal: SQLite's default since 2016."""

_MAGIC = b"SQLite format 3\x00"
_HEADER = 100
_PATIENCE = 1.0
"""Seconds SQLite waits for somebody else's lock; there should be nobody else."""


class Damaged(Exception):
    """A file that is, or was, a journal of ours, and that SQLite cannot read; the text says how that showed."""


@dataclass(slots=True)
class Opened:
    """A journal that was opened: the one connection that writes, one that reads, the hold, sentences for the user."""

    writer: sqlite3.Connection
    reader: sqlite3.Connection
    hold: Hold | NoHold = field(default_factory=NoHold)
    notes: list[str] = field(default_factory=list)


def connect(path: str | None) -> Opened:
    """Return the connections to the journal at ``path``; for None, in memory, both are the same.

    The file is created, or it is checked, brought to this layout if it is older (after a backup) and opened; a damaged
    one is set aside under a dated name, and what can be read of it is in the new one. The reader cannot write, and
    never checkpoints. Raises JournalBusy when another process holds the file, HeddleError when it is foreign or written
    by a newer version, and leaves it as it was.
    """
    if path is None:
        writer = open_database(":memory:")
        create(writer)
        _prepare(writer)
        return Opened(writer, writer)
    hold = None
    try:
        hold = Hold(path)
        notes = _make_ready(path, hold)
        with contextlib.ExitStack() as opened:
            writer = opened.enter_context(contextlib.closing(open_database(path)))
            (mode,) = writer.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                raise refusal(path, "its disk cannot hold a write-ahead log. Choose a folder on a local disk.")
            _prepare(writer)
            reader = opened.enter_context(contextlib.closing(open_to_read(path)))
            reader.execute("PRAGMA mmap_size = 0")
            opened.pop_all()
        return Opened(writer, reader, hold, notes)
    except BaseException as error:
        if hold is not None:
            hold.release(keep=hold.abandoned)
        if isinstance(error, sqlite3.DatabaseError):
            raise refusal(path, f"{error}. Check the folder, or choose another one.") from error
        if isinstance(error, OSError):
            raise refusal(path, f"{error.strerror}. Check the folder, or choose another one.") from error
        raise


def _make_ready(path: str, hold: Hold) -> list[str]:
    """Leave a whole file of this layout at ``path``; returns what the user should know about how it came there."""
    from engine.store.migration import migrate
    from engine.store.salvage import salvage

    if not os.path.exists(path) or os.path.getsize(path) == 0:
        notes = _set_log_aside(path)
        create_file(path)
        return notes
    notes = []
    lost_log = hold.abandoned and not os.path.exists(f"{path}-wal")
    try:
        _check_header(path)
        version = _check_pages(path)
        if version < VERSION:
            notes.append(migrate(path, version))
        if lost_log:
            notes.append(
                f"The log of the journal {shown(path)} is gone; the newest results were in it. Those documents run again."
            )
    except Damaged as damage:
        notes.append(salvage(path, str(damage)))
    return notes


def open_database(database: str, **options: Any) -> sqlite3.Connection:
    """Open a connection without transactions of the module's own."""
    # Threads: every use of a connection is under its lock in Journal, so the module's own check is only in the way.
    return sqlite3.connect(database, timeout=_PATIENCE, isolation_level=None, check_same_thread=False, **options)


def open_to_read(path: str, options: str = "") -> sqlite3.Connection:
    """Open a connection that cannot write."""
    return open_database(f"{Path(os.path.abspath(path)).as_uri()}?mode=ro{options}", uri=True)


def _prepare(writer: sqlite3.Connection) -> None:
    """Set what SQLite keeps per connection.

    FULL: in WAL mode each commit is synced, so what was acknowledged survives a power loss as well; NORMAL would only
    survive the death of the process. The price, one sync a batch and at most five a second, is paid by the writer
    thread. No memory map: a disk error on a mapped page is a SIGBUS, and no exception.
    """
    writer.execute("PRAGMA foreign_keys = ON")
    writer.execute("PRAGMA synchronous = FULL")
    writer.execute("PRAGMA mmap_size = 0")


def sql_text(name: str) -> str:
    """Return the text of a file of SQL beside this module."""
    return importlib.resources.files("engine.store").joinpath(name).read_text("utf-8")


def create(connection: sqlite3.Connection) -> None:
    """Make the tables of this layout in an empty database."""
    connection.executescript(sql_text("schema.sql"))


def create_file(path: str) -> None:
    """Make a complete, empty journal under another name and move it into place: there is never half of one."""
    new = f"{path}.new"
    remove_database(new)
    with contextlib.closing(open_database(new)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE}")
        connection.execute("PRAGMA synchronous = FULL")
        create(connection)
        connection.execute("PRAGMA journal_mode = WAL")
    os.replace(new, path)
    sync_folder(path)


def remove_database(path: str) -> None:
    """Remove a database of our own making, with all that SQLite keeps beside it."""
    for name in (path, f"{path}-journal", f"{path}-wal", f"{path}-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _set_log_aside(path: str) -> list[str]:
    """Move away a log that lost its database: SQLite would replay it into whatever has the name now."""
    log = f"{path}-wal"
    if not os.path.exists(log):
        return []
    aside = aside_name(path, "lost") + "-wal"
    os.replace(log, aside)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{path}-shm")
    return [f"The journal {shown(path)} is gone, and only its log was there. It was set aside as {shown(aside)}."]


def _check_header(path: str) -> None:
    """Judge a file by its first hundred bytes alone (https://www.sqlite.org/fileformat.html, 1.3)."""
    with open(path, "rb") as file:
        first = file.read(PAGE)
    header = first[:_HEADER]
    whole_pages = os.path.getsize(path) % PAGE == 0
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        if whole_pages:  # a text that somebody has there has this length once in 4,096 times, and is only renamed
            raise Damaged("its beginning is not that of a journal")
        raise refusal(path, "it is not a journal. Move it away, or choose another name.")
    application = int.from_bytes(header[68:72], "big")
    if application != APPLICATION_ID:
        if b"unknown_share" in first:  # a column of ours, in the tables' own text
            raise Damaged("its header does not say that it is a journal")
        raise refusal(path, "it is a database of another program. Choose another name.")
    _refuse_newer(path, int.from_bytes(header[60:64], "big"))


def _refuse_newer(path: str, version: int) -> None:
    if version > VERSION:
        raise refusal(
            path,
            f"it was written by a newer version of Heddle (layout {version}, this one writes {VERSION}). "
            "It was left untouched: open it with that version, or choose another name.",
        )


def _check_pages(path: str) -> int:
    """Return the layout of a file whose pages are whole, over a connection that cannot write; raises Damaged.

    A log that a kill left behind is read along. Without one nobody has the file open, and SQLite is told that nothing
    changes meanwhile, or it would leave an empty log of its own.
    """
    try:
        options = "" if os.path.exists(f"{path}-wal") else "&immutable=1"
        with contextlib.closing(open_to_read(path, options)) as reader:
            (version,) = reader.execute("PRAGMA user_version").fetchone()
            _refuse_newer(path, version)
            (verdict,) = reader.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if "malformed" not in str(error):
            raise  # locked, or no permission: nothing wrong with the pages
        raise Damaged(str(error)) from error
    except sqlite3.DatabaseError as error:
        raise Damaged(str(error)) from error
    if verdict != "ok":
        raise Damaged(verdict.replace("\n", " ")[:200])
    if version < 1:
        raise Damaged(f"it says that it has layout {version}")
    return version


def refusal(path: str, reason: str) -> HeddleError:
    """Return the error of a journal that cannot be used for ``reason``."""
    return HeddleError(f"The journal {shown(path)} cannot be used: {reason}")
