"""What SQLite refuses, and why: the disk, for a while; a row, for its values; or the whole journal, for good."""

from __future__ import annotations

import sqlite3
from enum import Enum


class Refusal(Enum):
    """Whose fault an error is, and so what is done about it."""

    DISK = "disk"
    """Tried again until the disk takes it."""
    ROW = "row"
    """Never tried again: costs the row."""
    JOURNAL = "journal"
    """Never tried again: nothing can be written into this file."""


_DISK = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_NOLFS,
}
_ROW = {
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_RANGE,
}

ERRORS = (sqlite3.Error, ValueError, TypeError, OverflowError, MemoryError)
"""What running a statement can raise."""


def refusal_of(error: BaseException) -> Refusal:
    """Return whose fault ``error``, one of ERRORS, is."""
    if isinstance(error, MemoryError):
        return Refusal.DISK
    code = getattr(error, "sqlite_errorcode", None)
    if not isinstance(error, sqlite3.Error):
        return Refusal.ROW
    if code is None:  # raised by Python's module: values that it cannot hand over
        return Refusal.ROW if isinstance(error, sqlite3.InterfaceError | sqlite3.ProgrammingError) else Refusal.JOURNAL
    primary = code & 0xFF
    if primary in _DISK:
        return Refusal.DISK
    return Refusal.ROW if primary in _ROW else Refusal.JOURNAL
