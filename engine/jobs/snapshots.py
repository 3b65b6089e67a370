"""Snapshots: what changed since the last one, and the meters; every reader has a cursor of its own."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psutil

from engine.api.history import Rate
from engine.api.snapshot import JobRows, JobState, Meters, Notice, Snapshot, TrialState, WorkerState
from engine.api.threads import ThreadMeter, process_cpu
from engine.jobs.changes import Cursor
from engine.jobs.job import LIVE
from engine.jobs.worker_table import ENDED

if TYPE_CHECKING:
    from engine.jobs.coordinator import Coordinator
    from engine.jobs.job import Job
    from engine.jobs.trial import Trials
    from engine.workers.manager import ModelManager

MOST_ACTIVITIES = 64
"""Steps of work in one snapshot that have not ended for a second."""

ROWS_A_SNAPSHOT = 2_000
"""Changed rows in one snapshot; at ten a second a pile of 100,000 is told in five seconds without a long frame."""


class Reader:
    """How far one subscriber is in every pile. A slow one neither loses rows nor delays the others."""

    def __init__(self) -> None:
        """Begin before everything."""
        self._cursors: dict[str, tuple[Cursor, Job, int]] = {}

    def take(self, coordinator: Coordinator, limit: int) -> tuple[tuple[JobRows, ...], bool]:
        """Return at most ``limit`` rows that changed, and whether more wait; on the coordinator's thread.

        A result whose commit is not acknowledged yet is told next time: what a reader saw done is never run again.
        """
        acknowledged = coordinator.journal.acknowledged
        rows: list[JobRows] = []
        more = False
        piles = [job for job in coordinator.jobs.values() if not job.trial]
        self._cursors = {job.id: self._cursor(job) for job in piles}
        for job in piles:
            cursor = self._cursors[job.id][0]
            if limit <= 0:
                more = True
                break
            documents = job.pile.documents
            reset = cursor.reset
            told, gone, left = cursor.take(
                job.pile.changes, limit, lambda n, d=documents: n in d and d[n].ticket <= acknowledged
            )
            if told or gone or reset:
                rows.append(JobRows(job.id, tuple(documents[n].row() for n in told), tuple(gone), reset))
            limit -= len(told)
            more |= left
        return tuple(rows), more

    def _cursor(self, job: Job) -> tuple[Cursor, Job, int]:
        known = self._cursors.get(job.id)
        if known is None or known[1] is not job:
            return Cursor(), job, job.shown
        if known[2] != job.shown:
            known[0].rewind()
        return known[0], job, job.shown


class Snapshots:
    """Takes snapshots of the engine for one reader, ten times a second."""

    def __init__(self, coordinator: Coordinator, manager: ModelManager, trials: Trials) -> None:
        """Watch ``coordinator``, ``manager`` and ``trials``."""
        self.coordinator, self.manager, self.trials = coordinator, manager, trials
        self._reader = Reader()
        self._prefill, self._decode = Rate(), Rate()
        self._notices: list[Notice] = []
        self._notice_lock = threading.Lock()
        self._sequence = 0
        self._meter = ThreadMeter()
        self._problem = ""
        self._heard = 0
        """Notes of the journal that were told."""

    def notify(self, level: str, text: str) -> None:
        """Put a sentence for the user into the next snapshot."""
        with self._notice_lock:
            self._notices.append(Notice(level, text))

    def snapshot(self) -> Snapshot:
        """Return what changed since the last call, and the meters; called by one watcher, ten times a second."""
        states, rows, more, workers, queue, totals, rates, trial, counted = self.coordinator.call(self._look)
        journal = self.coordinator.journal
        notes = journal.notes[self._heard :]
        self._heard += len(notes)
        with self._notice_lock:
            self._notices += [Notice("warning", note) for note in notes]
            notices, self._notices = tuple(self._notices), []
        self._sequence += 1
        memory = psutil.virtual_memory()
        return Snapshot(
            sequence=self._sequence,
            time=time.monotonic(),
            model=self.manager.model,
            plan=self.manager.plan,
            jobs=states,
            rows=rows,
            more_rows=more,
            workers=workers,
            threads=self._meter.sample(),
            meters=Meters(
                documents=totals[0],
                tokens=totals[1],
                documents_per_s=rates[0],
                tokens_per_s=rates[1],
                queue_ready=queue[1],
                queue_waiting=queue[0],
                rss=psutil.Process().memory_info().rss,
                memory_available=memory.available,
                memory_total=memory.total,
                process_cpu=process_cpu(),
                gil_share=self.manager.gil_share(),
                **self._written(counted),
            ),
            notices=notices,
            trial=trial,
            activities=self.coordinator.board.now(1.0)[:MOST_ACTIVITIES],
        )

    def _look(
        self,
    ) -> tuple[
        tuple[JobState, ...],
        tuple[JobRows, ...],
        bool,
        tuple[WorkerState, ...],
        tuple[int, int],
        tuple[int, int],
        tuple[float, float],
        TrialState | None,
        list[Any],
    ]:
        coordinator = self.coordinator
        states = tuple(job.state() for job in coordinator.jobs.values() if not job.trial)
        problem = coordinator.journal.problem
        if problem != self._problem:
            self._problem = problem
            self.notify(*(("warning", problem) if problem else ("info", "The journal can be written again.")))
        if problem:  # workers take nothing until it is gone
            states = tuple(replace(s, message=problem) if s.status in LIVE else s for s in states)
        rows, more = self._reader.take(coordinator, ROWS_A_SNAPSHOT)
        waiting = [coordinator.scheduler.waiting(job) for job in coordinator.jobs]
        queue = sum(unread for unread, _ in waiting), sum(ready for _, ready in waiting)
        totals = coordinator.throughput.documents, coordinator.throughput.tokens
        counted = [meter.statistics for meter in coordinator.workers.meters if meter.statistics is not None]
        return (
            states,
            rows,
            more,
            self._workers(),
            queue,
            totals,
            coordinator.throughput.rates(),
            self.trials.state(),
            counted,
        )

    def _workers(self) -> tuple[WorkerState, ...]:
        """Return what workers do; one that has nothing waits for others' text, or is idle."""
        coordinator = self.coordinator
        if not self.manager.has_workers:
            return ()
        some = any(job.live and job.under_way for job in coordinator.jobs.values()) or bool(coordinator.journal.problem)
        found: list[WorkerState] = []
        for index, meter in enumerate(coordinator.workers.meters):
            activity = meter.activity
            if activity != ENDED and not coordinator.scheduler.load(index).works:
                activity = "waiting" if some else "idle"
            found.append(WorkerState(index, meter.device, activity, meter.documents, meter.tokens, meter.busy))
        return tuple(found)

    def _written(self, counted: list[Any]) -> dict[str, Any]:
        """Return what the writing workers' generators have counted, as fields of Meters."""
        totals = {
            name: sum(getattr(one, name) for one in counted)
            for name in ("prefill_tokens", "decode_tokens", "prefix_tokens", "kv_bytes")
        }
        now = time.monotonic()
        rates = {
            "prefill_per_s": self._prefill.update(now, totals["prefill_tokens"]),
            "decode_per_s": self._decode.update(now, totals["decode_tokens"]),
        }
        return totals | rates
