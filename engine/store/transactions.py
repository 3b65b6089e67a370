"""The journal's transactions: a batch of writes goes in whole, or row by row where SQLite refuses some of it."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence

from engine.store.cells import clean
from engine.store.record import Record
from engine.store.refusals import ERRORS, Refusal, refusal_of
from engine.store.statements import GROW, GROW_JOBS
from engine.store.write import Write

_log = logging.getLogger(__name__)

Refused = tuple[Record | None, str]
"""A document whose row was refused and that was kept as failed, or None where it could not be kept at all; and why."""


class Transactions:
    """Runs batches of writes on a connection, each as one transaction."""

    def __init__(self, connection: sqlite3.Connection, gate: threading.Lock, deleted: Callable[[], None]) -> None:
        """Use ``connection`` only while ``gate`` is held; ``deleted`` is called for each write that deletes something."""
        self._connection, self._gate, self._deleted = connection, gate, deleted

    def commit(self, batch: Sequence[Write], *, apart: bool) -> list[Refused]:
        """Run a batch as one transaction; on any error nothing of it is in the database.

        With ``apart``, a row that is refused does not end the transaction: returns what was refused, and why.
        """
        refused: list[Refused] = []
        with self._gate:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                for write in batch:
                    if apart:
                        refused += self._run_apart(write)
                    else:
                        self._execute(write)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # after a full disk SQLite has rolled back by itself
                    self._connection.execute("ROLLBACK")
                raise
        return refused

    def _execute(self, write: Write) -> None:
        touched = 0
        for number, (statement, rows) in enumerate(write.statements):
            cursor = self._connection.executemany(statement, rows)
            touched = cursor.rowcount if number == 0 else touched
        if write.grows and touched > 0:
            growth = GROW if write.job else GROW_JOBS
            self._connection.execute(growth, (write.grows * touched, write.job))
        if write.grows < 0:
            self._deleted()

    def _attempt(self, write: Write) -> Exception | None:
        """Run a write inside the transaction; returns why it was refused for its values, and then nothing of it is there."""
        self._connection.execute("SAVEPOINT part")
        try:
            self._execute(write)
        except ERRORS as error:
            if refusal_of(error) != Refusal.ROW or not self._connection.in_transaction:
                raise
            self._connection.execute("ROLLBACK TO part")
            self._connection.execute("RELEASE part")
            return error
        self._connection.execute("RELEASE part")
        return None

    def _run_apart(self, write: Write) -> list[Refused]:
        """Run a write of which SQLite may refuse rows; those are kept as failed. Returns what was refused, and why."""
        if self._attempt(write) is None:
            return []
        refused: list[Refused] = []
        for number in range(write.rows):
            one = write.row(number)
            error = self._attempt(one)
            if error is None:
                continue
            _log.error("a row that SQLite does not take: %s: %s", one.statements[0][0][:60], type(error).__name__)
            reason = f"the journal could not keep it: {clean(str(error))}"
            record = one.records[0] if one.records else None
            if record is not None and one.instead is not None:
                kept = self._attempt(one.instead(record, reason)) is None
                refused.append((record if kept else None, reason))
            else:
                refused.append((None, reason))
        return refused
