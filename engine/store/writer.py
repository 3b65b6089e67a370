"""The journal's writer: one thread, alone on the only writing connection, that commits what others queue."""

from __future__ import annotations

import errno
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from engine.errors import HeddleError
from engine.store.cells import shown
from engine.store.compaction import Compaction
from engine.store.disk import free_bytes, free_text
from engine.store.record import Record
from engine.store.refusals import ERRORS, Refusal, refusal_of
from engine.store.transactions import Refused, Transactions
from engine.store.write import Write

_log = logging.getLogger(__name__)

BATCH_SECONDS = 0.2
"""A write waits no longer than this for others to share its commit."""
BATCH_ROWS = 200
"""With this many rows waiting, the commit begins at once."""
LARGEST_BATCH = 5_000
"""Rows in one transaction when a backlog is worked off; bounds the time that readers in memory wait."""
IDLE_SECONDS = 0.5
"""Without writes for so long, what was deleted is taken out of the file, piece by piece."""
RETRY_SECONDS = 1.0
"""Between two attempts to write to a disk that refuses."""

_LITTLE = 1 << 20
"""With less room than this, an error of the disk is that it is full: SQLite cannot always tell."""

TellRefused = Callable[[Record, str], None]
"""Is told of a document whose row SQLite refused, and why; it was kept as failed."""


class Writer:
    """A queue of writes and the thread that commits them in order, in batches.

    A write leaves the queue when it is committed, and not before. When the disk refuses, it stays there, ``problem``
    says why, and it is tried again every second. A row that SQLite refuses for its values is kept as failed in the same
    transaction, with the reason. An error that is neither ends the writing for good: ``broken``, with the reason in
    ``problem``. Tickets count the writes: ``queue`` returns the ticket of the last write it took, and ``acknowledged`` is
    the ticket of the last one that was committed.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        gate: threading.Lock,
        path: str | None,
        *,
        first: Callable[[], None] | None = None,
        problem: str = "",
        refused: TellRefused = lambda _record, _reason: None,
        stopped: Callable[[str], None] = lambda _problem: None,
    ) -> None:
        """Start the thread; it uses ``connection`` only while it holds ``gate``. ``path`` is for messages.

        ``first`` is what could not be done when the journal was opened, for ``problem``: it is tried again, and nothing is
        written before it. ``refused`` is called before the write counts as acknowledged, ``stopped`` when nothing can be
        written any more; both on the writer's thread.
        """
        self._gate = gate
        self._path = path
        self._first = first
        self._refused, self._stopped = refused, stopped
        lock = threading.Lock()
        self._work = threading.Condition(lock)  # wakes the thread
        self._progress = threading.Condition(lock)  # wakes those who wait for it
        self._pending: deque[tuple[float, Write]] = deque()  # with the time of queueing
        self._backlog = 0
        self._queued = 0
        self._acknowledged = 0
        self._wanted = 0
        self._problem = problem
        self._broken = False
        self._lost: list[str] = []
        self._deadline: float | None = None  # of closing
        self._ended = False
        self._compaction = Compaction(connection, gate)
        self._transactions = Transactions(connection, gate, self._compaction.note)
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
        """A sentence for the user while the disk refuses, or once nothing can be written any more; else empty."""
        return self._problem

    @property
    def broken(self) -> bool:
        """Whether nothing can be written any more."""
        return self._broken

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
            # Waking the thread for every row would cost a worker more than the row: the first and last of a batch do.
            if before == 0 or before < BATCH_ROWS <= self._backlog:
                self._work.notify()
            return self._queued

    def flush(self, timeout: float | None) -> bool:
        """Wait until what is queued now is committed; False when ``timeout`` seconds were not enough.

        Raises HeddleError when SQLite refused a write for its values and it could not be kept as failed either; the writes
        around it are not affected.
        """
        with self._progress:
            ticket = self._hurry()
            self._progress.wait_for(
                lambda: self._acknowledged >= ticket or self._ended or self._broken,
                timeout,
            )
            lost, self._lost = self._lost, []
            if lost:
                raise HeddleError(f"{_name(self._path)} refused {len(lost)} of the writes; the first: {lost[0]}.")
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
        return f"{_name(self._path)} is closed; nothing can be kept in it or read from it any more."

    @staticmethod
    def sentence(path: str | None, error: Exception) -> str:
        """Return what to tell the user when the disk, or the journal, at ``path`` refuses with ``error``."""
        name = _name(path)
        if isinstance(error, sqlite3.Error) and refusal_of(error) == Refusal.JOURNAL:
            return (
                f"{name} cannot be written any more: {error}. Close Heddle and start it again: the journal is checked "
                "then, and what can be read of it is recovered."
            )
        if path is None:
            return f"{name} cannot be written: {error or 'out of memory'}. Close other programs."
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        free = free_bytes(path)
        full = code == sqlite3.SQLITE_FULL or getattr(error, "errno", 0) == errno.ENOSPC
        full |= code == sqlite3.SQLITE_IOERR and free is not None and free < _LITTLE
        cause, remedy = ("its disk is full", "Make room on it") if full else (str(error), "Check its disk")
        return (
            f"{name} cannot be written: {cause} ({free_text(path)}). {remedy}: what is finished waits "
            "in memory and is written as soon as that works."
        )

    def _hurry(self) -> int:
        """Ask for a commit now, with no wait for company (the lock is held); returns the ticket to wait for."""
        self._wanted = self._queued
        if self._acknowledged < self._wanted and not self._problem:
            self._work.notify()
        return self._wanted

    def _run(self) -> None:
        """Commit batch after batch, until the writer is closed and the queue is empty or the time is up."""
        apart = False  # one write at a time, each row by itself if need be, to find what SQLite refuses
        left = 0
        try:
            if not self._begin():
                return
            while batch := self._take(1 if apart else LARGEST_BATCH):
                try:
                    refused = self._transactions.commit(batch, apart=apart)
                except ERRORS as error:
                    kind = refusal_of(error)
                    if kind == Refusal.JOURNAL:
                        self._stop(error)
                        return
                    if kind == Refusal.DISK:
                        if self._hold(error):
                            continue
                        return
                    apart, left = True, len(batch)
                    continue
                self._confirm(batch, refused)
                left -= len(batch)
                apart = apart and left > 0
            self._compaction.finish(self._deadline)
        finally:
            with self._progress:
                self._ended = True
                self._progress.notify_all()

    def _begin(self) -> bool:
        """Do what comes before all writes; False when the time to close came first, or when it can never be done."""
        while self._first is not None:
            with self._work:
                if self._deadline is not None:
                    return False
                self._work.wait(RETRY_SECONDS)
            try:
                with self._gate:
                    self._first()
            except (HeddleError, OSError, *ERRORS) as error:
                if isinstance(error, HeddleError) or (
                    not isinstance(error, OSError) and refusal_of(error) == Refusal.JOURNAL
                ):
                    self._stop(error)
                    return False
                continue
            with self._progress:
                self._first, self._problem = None, ""
                self._progress.notify_all()
        return True

    def _take(self, rows: int) -> list[Write]:
        """Wait for a batch of up to ``rows`` rows (one write at least) and return it; empty at the end."""
        while self._compaction.due and self._is_idle():
            self._compaction.step()
            with self._progress:
                self._progress.notify_all()
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

    def _is_idle(self) -> bool:
        """Wait whether nothing comes for a moment."""
        with self._work:
            return not self._work.wait_for(lambda: self._pending or self._deadline is not None, IDLE_SECONDS)

    def _confirm(self, batch: Sequence[Write], refused: Sequence[Refused]) -> None:
        for record, reason in refused:
            if record is not None:
                self._refused(record, reason)
        with self._progress:
            for write in batch:
                self._pending.popleft()
                self._backlog -= write.rows
            self._acknowledged += len(batch)
            self._problem = ""
            self._lost += [reason for record, reason in refused if record is None]
            self._progress.notify_all()

    def _stop(self, error: Exception) -> None:
        """Give up for good: what SQLite says will not change by trying again."""
        problem = str(error) if isinstance(error, HeddleError) else self.sentence(self._path, error)
        _log.error("%s", problem, exc_info=error)
        with self._progress:
            self._problem, self._broken = problem, True
            self._progress.notify_all()
        self._stopped(problem)
        with self._work:
            self._work.wait_for(lambda: self._deadline is not None)

    def _hold(self, error: Exception) -> bool:
        """Say what the disk refuses and wait before the next attempt; False when the time to close is up."""
        problem = self.sentence(self._path, error)
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


def _name(path: str | None) -> str:
    return "The journal in memory" if path is None else f"The journal {shown(path)}"
