"""The painter of snapshots: what changed since the last one, and the meters."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import psutil

from engine.job import LIVE
from engine.loom import Loom
from engine.metrics.history import Rate
from engine.metrics.snapshot import LaneState, Meters, Notice, Snapshot
from engine.metrics.threads import ThreadMeter, process_cpu
from engine.runner import Runner
from engine.trial import Trials

ROWS_A_SNAPSHOT = 2_000
"""Changed rows in one snapshot; at ten a second a pile of 100,000 is told in five seconds without a long frame."""


MOST_ACTIVITIES = 64
"""Steps of work in one snapshot that have not ended for a second."""


class Painter:
    """Paints the engine for one watcher, ten times a second."""

    def __init__(self, runner: Runner, loom: Loom, trials: Trials) -> None:
        """Watch ``runner``, ``loom`` and ``trials``."""
        self.runner, self.loom, self.trials = runner, loom, trials
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
        with self.runner.lock:
            piles = [job for job in self.runner.jobs.values() if job.scratch is None]
            jobs = [job for job in piles if job.changed or job.reset or job.removed or job.status in LIVE]
            problem = self.runner.journal.problem
            states = tuple(job.state() for job in piles)
            if problem != self._problem:
                self._problem = problem
                self.notify(*(("warning", problem) if problem else ("info", "The journal can be written again.")))
            if problem:  # lanes take nothing until it is gone
                states = tuple(replace(s, message=problem) if s.status in LIVE else s for s in states)
            rows = []
            more = False
            room = ROWS_A_SNAPSHOT
            for job in jobs:
                if room <= 0:
                    more = True
                    break
                told, left = job.take_changes(room, self.runner.journal.acknowledged)
                if told.rows or told.removed or told.reset:
                    rows.append(told)
                room -= len(told.rows)
                more |= left
            lanes = tuple(
                LaneState(i, m.device, m.activity, m.documents, m.tokens, m.busy)
                for i, m in enumerate(self.runner.lanes if self.loom.weaving else ())
            )
            ready = sum(len(job.ready) for job in self.runner.jobs.values())
            waiting = sum(len(job.unprepared) for job in self.runner.jobs.values())
            trial = self.trials.state()
            totals = (self.runner.documents_done, self.runner.tokens_done)
        notes = self.runner.journal.notes[self._heard :]
        self._heard += len(notes)
        with self._notice_lock:
            self._notices += [Notice("warning", note) for note in notes]
            notices, self._notices = tuple(self._notices), []
        self._sequence += 1
        documents_per_s, tokens_per_s = self.runner.rates()
        memory = psutil.virtual_memory()
        return Snapshot(
            sequence=self._sequence,
            time=time.monotonic(),
            model=self.loom.model,
            plan=self.loom.plan,
            jobs=states,
            rows=tuple(rows),
            more_rows=more,
            lanes=lanes,
            threads=self._meter.sample(),
            meters=Meters(
                documents=totals[0],
                tokens=totals[1],
                documents_per_s=documents_per_s,
                tokens_per_s=tokens_per_s,
                queue_ready=ready,
                queue_waiting=waiting,
                rss=psutil.Process().memory_info().rss,
                memory_available=memory.available,
                memory_total=memory.total,
                process_cpu=process_cpu(),
                gil_share=self.loom.gil_share(),
                **self._written(),
            ),
            notices=notices,
            trial=trial,
            activities=self.runner.board.now(1.0)[:MOST_ACTIVITIES],
        )

    def _written(self) -> dict[str, Any]:
        """Return what the writing lanes' generators have counted, as fields of Meters."""
        with self.runner.lock:
            counted = [lane.statistics for lane in self.runner.lanes if lane.statistics is not None]
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
