"""Compaction: what was deleted leaves the journal's files, while nothing else is to be written."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time

_log = logging.getLogger(__name__)

_STEP = 1_000
"""Free pages that are given back at a time, four megabytes."""


class Compaction:
    """Gives free pages back to the disk, and empties the log, in which deleted text still stands.

    The pages themselves were filled with zeros when their rows were deleted (`secure_delete`). A disk that refuses costs
    nothing but the room: it is tried again behind the next deletion.
    """

    def __init__(self, connection: sqlite3.Connection, gate: threading.Lock) -> None:
        """Work on ``connection``, only while ``gate`` is held."""
        self._connection, self._gate = connection, gate
        self.due = False
        """Whether something was deleted since the last compaction."""

    def note(self) -> None:
        """Take note of a deletion."""
        self.due = True

    def step(self) -> None:
        """Do a piece of the work, some milliseconds of it; ``due`` until all is done."""
        try:
            with self._gate:
                (before,) = self._connection.execute("PRAGMA freelist_count").fetchone()
                # Rows must be fetched for the pages to move.
                self._connection.execute(f"PRAGMA incremental_vacuum({_STEP})").fetchall()
                (after,) = self._connection.execute("PRAGMA freelist_count").fetchone()
                if 0 < after < before:
                    return
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            _log.info("the journal was not compacted: %s", error)
        self.due = False

    def finish(self, deadline: float | None) -> None:
        """Do what is left of the work before the journal is closed, as far as ``deadline`` (of the monotonic clock) allows."""
        while self.due and (deadline is None or time.monotonic() < deadline):
            self.step()
