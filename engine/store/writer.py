"""The journal's writer: one thread, alone on the only writing connection, that commits what others queue."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import HeddleError
from engine.store.cells import shown
from engine.store.disk import free_text
from engine.store.record import Row

_log = logging.getLogger(__name__)

BATCH_SECONDS = 0.2
"""A write waits no longer than this for others to share its commit."""
BATCH_ROWS = 200
"""With this many rows waiting, the commit begins at once."""
LARGEST_BATCH = 5_000
"""Rows in one transaction when a backlog is worked off; bounds the time that readers in memory wait."""
RETRY_SECONDS = 1.0
"""Between two attempts to write to a disk that refuses."""

Statement = tuple[str, Sequence[Row]]
"""A statement and the rows of values it is run with, as for ``executemany``."""


@dataclass(frozen=True, slots=True)
class Write:
    """Statements that are committed together or not at all; ``rows`` is its weight in a batch."""

    statements: tuple[Statement, ...]
    rows: int


class Writer:
    """A queue of writes and the thread that commits them in order, in batches.

    A write leaves the queue when it is committed, and not before. When the disk refuses, it stays there, ``problem``
    says why, and it is tried again every second. Tickets count the writes: ``queue`` returns the ticket of the last
    write it took, and ``acknowledged`` is the ticket of the last one that was committed.
    """

    def __init__(self, connection: sqlite3.Connection, gate: threading.Lock, path: str | None) -> None:
        """Start the thread; it uses ``connection`` only while it holds ``gate``. ``path`` is for messages."""
        self._connection = connection
        self._gate = gate
        self._path = path
        lock = threading.Lock()
        self._work = threading.Condition(lock)  # wakes the thread
        self._progress = threading.Condition(lock)  # wakes those who wait for it
        self._pending: deque[tuple[float, Write]] = deque()  # with the time of queueing
        self._backlog = 0
        self._queued = 0
        self._acknowledged = 0
        self._wanted = 0
        self._problem = ""
        self._refused: list[str] = []
        self._deadline: float | None = None  # of closing
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def acknowledged(self) -> int:
        """Ticket up to which everything is committed."""
        return self._acknowledged

    @property
    def backlog(self) -> int:
        """Rows that wait for their commit."""
        return self._backlog

    @property
    def problem(self) -> str:
        """A sentence for the user while the disk refuses, else empty."""
        return self._problem

    def queue(self, writes: Sequence[Write]) -> int:
        """Take writes, in order and with nothing between them; returns the ticket of the last.

        Never waits for the disk. Raises HeddleError when the writer is closed.
        """
        now = time.monotonic()
        with self._work:
            if self._deadline is not None or self._ended:
                raise HeddleError(self.closed())
            before = self._backlog
            self._pending.extend((now, write) for write in writes)
            self._backlog += sum(write.rows for write in writes)
            self._queued += len(writes)
            # Waking the thread for every row would cost a lane more than the row: the first and last of a batch do.
            if before == 0 or before < BATCH_ROWS <= self._backlog:
                self._work.notify()
            return self._queued

    def flush(self, timeout: float | None) -> bool:
        """Wait until what is queued now is committed; False when ``timeout`` seconds were not enough.

        Raises HeddleError when SQLite refused a write for its values; the writes around it are not affected.
        """
        with self._progress:
            ticket = self._hurry()
            self._progress.wait_for(lambda: self._acknowledged >= ticket or self._ended, timeout)
            refused, self._refused = self._refused, []
            if refused:
                raise HeddleError(f"{self._name()} refused {len(refused)} of the writes; the first: {refused[0]}.")
            return self._acknowledged >= ticket

    def settle(self) -> None:
        """Wait until what is queued now is committed; raises HeddleError at once while the disk refuses."""
        with self._progress:
            ticket = self._hurry()
            self._progress.wait_for(lambda: self._acknowledged >= ticket or self._problem or self._ended)
            if self._acknowledged < ticket:
                raise HeddleError(self._problem or self.closed())

    def close(self, timeout: float) -> bool:
        """Commit what is queued within ``timeout`` seconds and end the thread; False when it is stuck in the kernel."""
        with self._work:
            if self._deadline is None:
                self._deadline = time.monotonic() + timeout
            self._work.notify()
        self._thread.join(timeout + 1.0)
        return not self._thread.is_alive()

    def closed(self) -> str:
        """Return the sentence for those who come after closing."""
        return f"{self._name()} is closed; nothing can be kept in it or read from it any more."

    def sentence(self, error: Exception) -> str:
        """Return what to tell the user when the disk refuses with ``error``."""
        if self._path is None:
            return f"{self._name()} cannot be written: {error or 'out of memory'}. Close other programs."
        full = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
        cause, remedy = ("its disk is full", "Make room on it") if full else (str(error), "Check its disk")
        return (
            f"{self._name()} cannot be written: {cause} ({free_text(self._path)}). {remedy}: what is finished waits "
            "in memory and is written as soon as that works."
        )

    def _name(self) -> str:
        return "The journal in memory" if self._path is None else f"The journal {shown(self._path)}"

    def _hurry(self) -> int:
        """Ask for a commit now, with no wait for company (the lock is held); returns the ticket to wait for."""
        self._wanted = self._queued
        if self._acknowledged < self._wanted and not self._problem:
            self._work.notify()
        return self._wanted

    def _run(self) -> None:
        """Commit batch after batch, until the writer is closed and the queue is empty or the time is up."""
        alone = 0  # writes still to be committed one by one, to find the one that SQLite refuses
        try:
            while batch := self._take(1 if alone else LARGEST_BATCH):
                try:
                    self._commit(batch)
                except (sqlite3.Error, ValueError, TypeError, OverflowError, MemoryError) as error:
                    if _is_of_the_disk(error):
                        if self._hold(error):
                            continue
                        break
                    if len(batch) > 1:
                        alone = len(batch)
                        continue
                    self._refuse(batch[0], error)
                alone = max(0, alone - 1)
                self._confirm(batch)
        finally:
            with self._progress:
                self._ended = True
                self._progress.notify_all()

    def _take(self, rows: int) -> list[Write]:
        """Wait for a batch of up to ``rows`` rows (one write at least) and return it; empty at the end."""
        with self._work:
            self._work.wait_for(lambda: self._pending or self._deadline is not None)
            if not self._pending or (self._deadline is not None and time.monotonic() >= self._deadline):
                return []
            due = self._pending[0][0] + BATCH_SECONDS
            self._work.wait_for(
                lambda: self._backlog >= BATCH_ROWS or self._wanted > self._acknowledged or self._deadline is not None,
                timeout=max(0.0, due - time.monotonic()),
            )
            batch: list[Write] = []
            for _, write in self._pending:
                rows -= write.rows
                if batch and rows < 0:
                    break
                batch.append(write)
            return batch

    def _commit(self, batch: Sequence[Write]) -> None:
        """Run a batch as one transaction; on any error nothing of it is in the database."""
        with self._gate:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                for write in batch:
                    for statement, rows in write.statements:
                        self._connection.executemany(statement, rows)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # after a full disk SQLite has rolled back by itself
                    self._connection.execute("ROLLBACK")
                raise

    def _confirm(self, batch: Sequence[Write]) -> None:
        with self._progress:
            for write in batch:
                self._pending.popleft()
                self._backlog -= write.rows
            self._acknowledged += len(batch)
            self._problem = ""
            self._progress.notify_all()

    def _hold(self, error: Exception) -> bool:
        """Say what the disk refuses and wait before the next attempt; False when the time to close is up."""
        problem = self.sentence(error)
        with self._progress:
            if not self._problem:
                _log.warning("%s", problem, exc_info=error)
            self._problem = problem
            self._progress.notify_all()
            left = RETRY_SECONDS if self._deadline is None else self._deadline - time.monotonic()
            if left <= 0:
                return False
            self._work.wait(min(left, RETRY_SECONDS))
            return True

    def _refuse(self, write: Write, error: Exception) -> None:
        """Give up on one write whose values SQLite does not take: trying again would hold up all others for ever."""
        _log.error("a write that SQLite does not take: %s", write.statements[0][0], exc_info=error)
        with self._progress:
            self._refused.append(str(error))


def _is_of_the_disk(error: Exception) -> bool:
    """Tell a disk, or memory, that refuses from values that do not fit (SQLite's kinds of error below these two)."""
    return isinstance(error, MemoryError) or type(error) in {sqlite3.OperationalError, sqlite3.DatabaseError}
