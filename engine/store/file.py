"""The journal's file: held by one process, looked at before it is opened, so that what is not ours stays as it is."""

from __future__ import annotations

import contextlib
import errno
import functools
import importlib.resources
import os
import shutil
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.api.private_files import create_private, make_private
from engine.errors import HeddleError
from engine.store import checksum
from engine.store.cells import shown
from engine.store.disk import aside_name, free_text, sync_folder
from engine.store.hold import Hold, NoHold
from engine.store.refusals import Refusal, refusal_of
from engine.store.statements import KNOW
from engine.store.write_ahead_log import lost_commits

APPLICATION_ID = 0x4864646C
"""``Hddl`` in the file's header: a journal, and no other SQLite database."""

VERSION = 4
"""Layout of the tables, kept as ``user_version``. It is written before WAL begins, so the header has it."""

_SEALED, _NEWEST = 3, "locator"
"""The layout from which on rows have checksums; a column of document that this one began with."""

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
    """A journal that was opened: the one connection that writes, one that reads, the hold, sentences for the user.

    ``refuses`` is why nothing can be written for now, and then one connection does both; without ``held`` the hold could
    not be taken either, and is to be taken before anything is written.
    """

    writer: sqlite3.Connection
    reader: sqlite3.Connection
    hold: Hold | NoHold = field(default_factory=NoHold)
    notes: list[str] = field(default_factory=list)
    refuses: Exception | None = None
    held: bool = True


def connect(path: str | None, damage: str = "") -> Opened:
    """Return the connections to the journal at ``path``; for None, in memory, both are the same.

    The file is created, or it is checked, brought to this layout if it is older (after a backup) and opened; a damaged
    one (``damage`` says so of one that passed the checks) is set aside under a dated name, and what can be read of it is
    in the new one. The reader cannot write, and never checkpoints. A journal whose disk is full, or read-only, is opened
    to be read. Raises JournalBusy when another process holds the file, HeddleError when it is foreign or written by a newer
    version, and leaves it as it was.
    """
    if path is None:
        writer = open_database(":memory:")
        create(writer)
        _prepare(writer)
        return Opened(writer, writer)
    hold: Hold | None = None
    try:
        try:
            hold = Hold(path)
            _tighten_all(path)
            return _open(path, hold, damage)
        except (sqlite3.OperationalError, OSError) as error:
            if not damage and _is_of_the_disk(error) and (opened := _open_to_look(path, hold, error)) is not None:
                return opened
            raise
    except BaseException as error:
        if hold is not None:
            hold.release(keep=hold.abandoned)
        room = f" ({free_text(path)})" if isinstance(error, OSError | sqlite3.OperationalError) else ""
        if isinstance(error, sqlite3.DatabaseError):
            raise refusal(path, f"{error}{room}. Check the folder, or choose another one.") from error
        if isinstance(error, OSError):
            raise refusal(path, f"{error.strerror}{room}. Check the folder, or choose another one.") from error
        raise


def _open(path: str, hold: Hold, damage: str) -> Opened:
    from engine.store.salvage import finish_salvage, salvage

    notes = finish_salvage(path)
    for attempt in range(2):
        try:
            if damage:
                raise Damaged(damage)
            notes += _make_ready(path, hold)
            writer, reader = _open_both(path)
            return Opened(writer, reader, hold, notes)
        except Damaged as found:
            if attempt:  # what was made of it is damaged as well: the disk, or the memory, is not to be trusted
                raise refusal(path, f"{found}. Check its disk.") from found
            damage = ""
            notes.append(salvage(path, str(found)))
    raise AssertionError


def _open_both(path: str) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    try:
        with contextlib.ExitStack() as opened:
            writer = opened.enter_context(contextlib.closing(open_database(path)))
            (mode,) = writer.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                raise refusal(path, "its disk cannot hold a write-ahead log. Choose a folder on a local disk.")
            _prepare(writer)
            reader = opened.enter_context(contextlib.closing(open_to_read(path)))
            reader.execute("PRAGMA mmap_size = 0")
            reader.execute("SELECT 1 FROM job").fetchone()  # makes the log's index now, while a full disk can be met
            opened.pop_all()
            return writer, reader
    except sqlite3.DatabaseError as error:
        raise _damaged_or(error) from error


def _open_to_look(path: str, hold: Hold | None, error: Exception) -> Opened | None:
    """Open a whole journal of this layout without writing a byte; None when that cannot be."""
    if not os.path.exists(path) or os.path.getsize(path) == 0:
        return None
    # Alone with the file, SQLite keeps the log's index in memory. Where nothing at all can be written there must not be
    # a log, and SQLite is told that the file does not change.
    ways = [(Path(os.path.abspath(path)).as_uri(), True)]
    if not os.path.exists(f"{path}-wal"):
        ways.append((f"{ways[0][0]}?mode=ro&immutable=1", False))
    for name, writes in ways:
        connection = open_database(name, uri=True)
        try:
            _check_header(path)
            if writes:
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == VERSION:
                _check_content(connection)
                _prepare(connection)
                return Opened(connection, connection, hold or NoHold(), [], error, hold is not None)
        except (sqlite3.DatabaseError, Damaged):
            pass
        connection.close()
    return None


_DISK_ERRORS = {errno.ENOSPC, errno.EROFS, errno.EDQUOT if hasattr(errno, "EDQUOT") else errno.ENOSPC}


def _is_of_the_disk(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in _DISK_ERRORS
    return refusal_of(error) == Refusal.DISK


def _damaged_or(error: sqlite3.DatabaseError) -> Exception:
    """Return Damaged for an error that says that the file is, or the error itself."""
    return Damaged(str(error)) if refusal_of(error) == Refusal.JOURNAL else error


def _tighten_all(path: str) -> None:
    """Take from others the right to read the journal and all that lies beside it under its name."""
    folder, name = os.path.split(os.path.abspath(path))
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            rest = entry.name[len(name) :]
            if entry.name.startswith(name) and (rest == "" or rest[0] in "-."):
                make_private(entry.path)


def _make_ready(path: str, hold: Hold) -> list[str]:
    """Leave a whole file of this layout at ``path``; returns what the user should know about how it came there.

    Raises Damaged.
    """
    from engine.store.migration import migrate

    if not os.path.exists(path) or os.path.getsize(path) == 0:
        notes = _set_log_aside(path)
        create_file(path)
        return notes
    notes = _look_at_log(path, hold)
    _check_header(path)
    version = _check_pages(path)
    if version < VERSION:
        notes.append(migrate(path, version))
    return notes


def _look_at_log(path: str, hold: Hold) -> list[str]:
    """Tell what is lost of the newest writes; a log with a damaged end is kept as it is before SQLite drops that end."""
    log = f"{path}-wal"
    if not os.path.exists(log):
        if not hold.abandoned:
            return []
        return [
            f"The log of the journal {shown(path)} is gone; the newest results were in it. Those documents run again."
        ]
    lost = lost_commits(log, PAGE)
    if not lost:
        return []
    aside = aside_name(path, "damaged") + "-wal"
    create_private(aside)
    shutil.copyfile(log, aside)
    told = (
        f"The end of the log of the journal {shown(path)} cannot be read, as after a power loss: the newest {lost:,} of its "
        f"writes are lost, and what they held runs again. The log is kept as {shown(aside)}."
    )
    return [told]


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
    checksum.register(writer)
    writer.execute("PRAGMA foreign_keys = ON")
    writer.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten: no text of it stays in the file
    writer.execute("PRAGMA synchronous = FULL")
    writer.execute("PRAGMA mmap_size = 0")


def sql_text(name: str) -> str:
    """Return the text of a file of SQL beside this module."""
    return importlib.resources.files("engine.store").joinpath(name).read_text("utf-8")


def create(connection: sqlite3.Connection) -> None:
    """Make the tables of this layout in an empty database, and the facts that it begins with."""
    checksum.register(connection)
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # pages of deleted rows can be given back piece by piece
    connection.executescript(sql_text("schema.sql"))
    connection.execute(KNOW, ("jobs", "0", checksum.fact_crc("jobs", "0")))


def create_file(path: str, layout: str = "") -> None:
    """Make a complete, empty journal under another name and move it into place: there is never half of one.

    ``layout`` is the file of SQL that makes the tables of an older one.
    """
    new = f"{path}.new"
    remove_database(new)
    create_private(new)
    with contextlib.closing(open_database(new)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE}")
        connection.execute("PRAGMA synchronous = FULL")
        if layout in {"", "schema.sql"}:
            create(connection)
        else:
            connection.executescript(sql_text(layout))
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


_CONSTANT = ((16, PAGE.to_bytes(2, "big")), (20, b"\0\x40\x20\x20"), (44, b"\0\0\0\4"), (56, b"\0\0\0\1"))
"""Bytes of the header that are the same in every journal: size of a page, fractions of it, format, UTF-8."""


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
    _refuse_newer(path, int.from_bytes(header[60:64], "big"), sure=False)
    # Version 2 is a log beside the file, 1 none; with another one SQLite would not write, or not read.
    if not {header[18], header[19]} <= {1, 2} or any(header[at : at + len(value)] != value for at, value in _CONSTANT):
        raise Damaged("its header is not that of a journal")


def _refuse_newer(path: str, version: int, *, sure: bool = True) -> None:
    """Refuse a file of a newer layout; not ``sure``, only if its number is not this one's with one bit flipped."""
    if version > VERSION and (sure or (version ^ VERSION).bit_count() != 1):
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
            reader.text_factory = lambda data: data.decode("utf-8", "replace")
            (version,) = reader.execute("PRAGMA user_version").fetchone()
            columns = {row[1] for row in reader.execute("PRAGMA table_info(document)")}
            if (
                version > VERSION
                or (version < VERSION and _NEWEST in columns)
                or (version < _SEALED and "crc" in columns)
            ):
                # The tables tell: a layout that is newer has others, and one that is older has fewer columns.
                _refuse_newer(path, version, sure=tables(reader) != tables_of_this_layout())
                raise Damaged(f"it says that it has layout {version}")
            if version < 1:
                raise Damaged(f"it says that it has layout {version}")
            _check_content(reader, this_layout=version == VERSION)
    except UnicodeDecodeError as error:  # the text of an error can hold what is damaged
        raise Damaged("a name in it is not text") from error
    except sqlite3.DatabaseError as error:
        raise _damaged_or(error) from error
    return version


def _check_content(reader: sqlite3.Connection, *, this_layout: bool = True) -> None:
    """Check the pages, that indexes fit their tables, and the tables' definitions; raises Damaged."""
    (verdict,) = reader.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise Damaged(verdict.replace("\n", " ")[:200])
    if this_layout and tables(reader) != tables_of_this_layout():
        raise Damaged("its tables are not those of a journal")


def tables(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return what the tables and indexes of a database are, without the wording of their definitions."""
    found: dict[str, Any] = {}
    for kind, name, text in connection.execute("SELECT type, name, sql FROM sqlite_schema").fetchall():
        if kind == "table":
            columns = connection.execute(f'PRAGMA table_info("{name}")').fetchall()
            found[name] = columns, connection.execute(f'PRAGMA foreign_key_list("{name}")').fetchall()
        else:
            found[name] = kind, " ".join((text or "").split())
    return found


@functools.cache
def tables_of_this_layout() -> dict[str, Any]:
    """Return what ``tables`` finds in a new journal."""
    with contextlib.closing(open_database(":memory:")) as fresh:
        create(fresh)
        return tables(fresh)


def refusal(path: str, reason: str) -> HeddleError:
    """Return the error of a journal that cannot be used for ``reason``."""
    return HeddleError(f"The journal {shown(path)} cannot be used: {reason}")
