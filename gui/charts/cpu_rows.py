"""How busy each thread of two processes was in the last minute, from running totals of CPU time. No Qt in here."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gui.charts.columns import Columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from engine.api import ThreadTime

ENGINE = "engine"
WINDOW = "window"
OTHER = "other"

_ACTIVE = 3  # code from which on a quiet thread is worth a row: 1 % of a core in one column
_GROUPS = ("main", "journal", "reader")  # the order of the rows after the workers


@dataclass(slots=True)
class _Thread:
    group: str
    slot: int
    cpu: float
    pending: float = 0.0
    alive: bool = True


@dataclass(slots=True)
class _Process:
    time: float = math.nan
    spent: float = 0.0  # seconds that the pending CPU times were gathered in
    empty: int = 0  # newest columns that have no data yet
    charged: float = 0.0
    threads: dict[int, _Thread] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One thread: ``rank`` counts the rows of its group from 0; ``busy`` is its share of a core now, -1 unknown."""

    process: str
    group: str
    rank: int
    tid: int
    slot: int
    busy: float


class CpuRows:
    """Turns CPU times of threads into columns of utilisation: code 1 is 0 %, code 255 is one whole core."""

    def __init__(self, columns: Columns | None = None) -> None:
        """Keep the history in ``columns`` (by default the last 60 s)."""
        self.columns = columns or Columns()
        self._processes: dict[str, _Process] = {}
        self._free: list[int] = []
        self.clear()

    def feed(self, process: str, time: float, threads: Sequence[ThreadTime]) -> None:
        """Take the CPU times of ``process`` (ENGINE or WINDOW) at ``time``, seconds of that process's own clock."""
        state = self._processes[process]
        spent = time - state.time
        if spent == 0.0:
            return
        begins = not spent > 0.0  # the first time, or the clock went back: another process answers
        state.time = time
        seen: set[int] = set()
        for entry in threads:
            if entry.tid == 0:  # the sum of threads that ended; what they did is in their rows
                continue
            seen.add(entry.tid)
            thread = state.threads.get(entry.tid)
            used = 0.0
            if thread is not None and thread.alive and entry.cpu >= thread.cpu and not begins:
                used = entry.cpu - thread.cpu
            elif not begins and entry.cpu <= 1.5 * spent:  # born since the last time
                used = entry.cpu
            if thread is None:
                slot = self._inherited(state, entry.group)
                thread = state.threads[entry.tid] = _Thread(entry.group, slot, entry.cpu)
            thread.alive, thread.group, thread.cpu = True, entry.group, entry.cpu
            thread.pending += used
            state.charged += used
        for tid, thread in state.threads.items():
            thread.alive = tid in seen
        if not begins:
            state.spent += spent

    def advance(self, now: float) -> bool:
        """Scroll to ``now``, the window's clock, and fill the new columns; return whether the picture changed."""
        fresh = self.columns.advance(now)
        if not fresh:
            return False
        for state in self._processes.values():
            state.empty = min(state.empty + fresh, self.columns.count)
            if state.spent > 0.0:
                self._fill(state)
        return True

    def _fill(self, state: _Process) -> None:
        # A late sample speaks for all the time since the one before it, not for the newest column only.
        columns = min(state.empty, math.ceil(state.spent / self.columns.step))
        for thread in state.threads.values():
            if thread.alive or thread.pending:
                share = min(1.0, thread.pending / state.spent)
                self.columns.codes[thread.slot, -columns:] = 1 + round(254 * share)
                thread.pending = 0.0
        state.spent, state.empty = 0.0, 0

    def charged(self, process: str) -> float:
        """Return the CPU seconds that all threads of ``process`` were charged with since the first feed."""
        return self._processes[process].charged

    def rows(self) -> tuple[list[Row], list[Row]]:
        """Return the threads of the workers that are worth a row of their own, and all others, each in order.

        The first thread of each worker always has a row, its further ones while they did something in the last minute.
        Threads that are gone leave with their last trace.
        """
        peaks = self.columns.codes.max(axis=1)
        recent = self.columns.codes[:, -5:]
        own: list[Row] = []
        others: list[Row] = []
        for process, state in self._processes.items():
            for tid in [t for t, thread in state.threads.items() if not thread.alive and peaks[thread.slot] < _ACTIVE]:
                self._free_slot(state.threads.pop(tid).slot)
            ranks: dict[str, int] = {}
            for tid, thread in sorted(state.threads.items()):
                worker = process == ENGINE and worker_of(thread.group) >= 0
                first = thread.alive and thread.group not in ranks
                wanted = worker and (first or peaks[thread.slot] >= _ACTIVE)
                rank = 0
                if wanted:
                    rank = ranks[thread.group] = ranks.get(thread.group, -1) + 1
                codes = recent[thread.slot]
                known = codes[codes > 0]
                busy = (float(known.mean()) - 1.0) / 254.0 if len(known) and thread.alive else -1.0
                (own if wanted else others).append(Row(process, thread.group, rank, tid, thread.slot, busy))
        own.sort(key=_order)
        others.sort(key=_order)
        return own, others

    def added(self, rows: Sequence[Row]) -> NDArray[np.uint8]:
        """Return the columns of ``rows`` added up: more than a whole core together counts as one."""
        codes = self.columns.codes[[row.slot for row in rows]]
        total = np.maximum(codes.astype(np.int32) - 1, 0).sum(axis=0)
        return np.where((codes > 0).any(axis=0), 1 + np.minimum(total, 254), 0).astype(np.uint8)

    def clear(self) -> None:
        """Forget everything."""
        self.columns.clear()
        self._processes = {ENGINE: _Process(), WINDOW: _Process()}
        self._free = list(range(len(self.columns.codes) - 1, -1, -1))

    def _inherited(self, state: _Process, group: str) -> int:
        """Return the row of a thread that ended in the same group, or a new one.

        A worker's thread of the next plan goes on where the one before it stopped: their lives do not overlap.
        """
        for tid, thread in state.threads.items():
            if not thread.alive and not thread.pending and thread.group == group:
                return state.threads.pop(tid).slot
        return self._slot()

    def _slot(self) -> int:
        if not self._free:
            size = len(self.columns.codes)
            self.columns.need(size + 1)
            self._free = list(range(len(self.columns.codes) - 1, size - 1, -1))
        return self._free.pop()

    def _free_slot(self, slot: int) -> None:
        self.columns.codes[slot] = np.uint8(0)
        self._free.append(slot)


def worker_of(group: str) -> int:
    """Return the number of a worker's group, -1 for any other."""
    head, _, tail = group.partition(" ")
    return int(tail) if head == "worker" and tail.isdigit() else -1


def _order(row: Row) -> tuple[bool, int, str, int, int]:
    worker = worker_of(row.group)
    if worker >= 0:
        return (row.process == WINDOW, -1, "", worker, row.rank)
    place = _GROUPS.index(row.group) if row.group in _GROUPS else len(_GROUPS) + (row.group == OTHER)
    return (row.process == WINDOW, place, row.group, 0, row.rank)
