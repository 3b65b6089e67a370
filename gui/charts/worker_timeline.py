"""What each worker did in the last minute, as a strip of activities."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtGui import QBrush, QColor

from gui.charts.bands import Band
from gui.charts.card import Caption, ChartCard, Entry
from gui.charts.columns import Columns, pick_columns
from gui.charts.labels import part
from gui.charts.strip import Strip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PySide6.QtWidgets import QWidget

    from engine.api import WorkerState

ACTIVITIES = ("encode", "prefill", "decode", "prepare", "waiting", "idle")
"""What a worker can be doing, in the order of the legend; a worker that ended has no data. Codes count from 1."""

_CODES = {activity: code for code, activity in enumerate(ACTIVITIES, 1)}
_PATIENCE = 1.0  # seconds that a worker's last word holds for when no snapshot comes


class WorkerTimeline(ChartCard):
    """One strip a worker; the legend says in words what the colours mean and which share of the minute they took."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty chart."""
        super().__init__(parent)
        self.set_title(
            self.tr("Workers"),
            self.tr("last 60 s"),
            self.tr(
                "What each worker does. Computing: making vectors of texts. Reading prompts, writing: what a model that "
                "answers does (prefill, decode). Reading files: taking in a document. Waiting: nothing is ready yet. "
                "Idle: nothing is left to do."
            ),
        )
        self._words = {
            "encode": self.tr("computing"),
            "prefill": self.tr("reading prompts"),
            "decode": self.tr("writing"),
            "prepare": self.tr("reading files"),
            "waiting": self.tr("waiting"),
            "idle": self.tr("idle"),
            "ended": self.tr("ended"),
        }
        self._caption = Caption(lines=3)
        self._strip = Strip()
        self._strip.set_times(self.tr("60 s"), self.tr("30 s"), self.tr("now"))
        self.body.addWidget(self._caption)
        self.body.addWidget(self._strip, 1)
        self._columns = Columns()
        self._workers: tuple[WorkerState, ...] = ()
        self._bands: list[Band] = []
        self._heard = 0.0
        self.finish()

    def record(self, now: float, workers: Sequence[WorkerState] | None) -> None:
        """Take what the workers do at ``now``, the window's clock; None when there is nothing new from the engine."""
        if workers is not None:
            # Without a model there are no workers; those that were keep their strips until the minute is over.
            self._workers = tuple(workers) or tuple(replace(worker, activity="ended") for worker in self._workers)
            self._heard = now
            self._columns.need(len(self._workers))
            self._columns.codes[len(self._workers) :] = 0  # workers of an older plan
        fresh = self._columns.advance(now)
        if fresh and now - self._heard <= _PATIENCE:
            known = min(fresh, round(_PATIENCE / self._columns.step))
            for row, worker in enumerate(self._workers):
                self._columns.codes[row, -known:] = _CODES.get(worker.activity, 0)

    def draw(self) -> None:
        """Paint the last minute."""
        codes = self._columns.codes[: len(self._workers)]
        _, width = self._strip.room()
        factor = max(1, -(-codes.shape[1] // width))
        picked, excess = pick_columns(codes, factor, self._columns.newest)
        step = self._columns.step
        if len(self._bands) != len(self._workers):
            self._bands = [Band(name, begins=True) for name in self._names()]
        self._strip.show_rows(self._bands, picked, step * factor, step * excess)

    def tell(self) -> None:
        """Bring legend, labels and text twin up to date; meant for once a second."""
        workers, names = self._workers, self._names()
        self._bands = [Band(name, begins=True) for name in names]
        counts = np.bincount(self._columns.codes[: len(workers)].ravel(), minlength=len(ACTIVITIES) + 1)[1:]
        total = int(counts.sum())
        shares = {name: count / total for name, count in zip(ACTIVITIES, counts.tolist(), strict=True) if count}
        if not shares:
            self._caption.set_entries(Entry(self.tr("no workers yet")))
            self.describe(self._caption.text())
            return
        self._caption.set_entries(
            *(
                Entry(f"{self._words[name]} {part(share)}", QBrush(QColor(self.colours.activities[name])))
                for name, share in shares.items()
            )
        )
        doing = (
            self.tr("{worker}: {activity}").format(
                worker=name, activity=self._words.get(worker.activity, worker.activity)
            )
            for name, worker in zip(names, workers, strict=True)
        )
        self.describe("; ".join([*doing, self._caption.text()]))

    def _names(self) -> list[str]:
        return [self.tr("worker {number}").format(number=worker.index) for worker in self._workers]

    def clear(self) -> None:
        """Forget everything."""
        self._columns.clear()
        self._workers = ()
        self.draw()
        self.tell()

    def recolour(self) -> None:
        """Colour the strips and the legend."""
        table = np.zeros((256, 4), dtype=np.uint8)
        for name, code in _CODES.items():
            colour = QColor(self.colours.activities[name])
            table[code] = (colour.red(), colour.green(), colour.blue(), 255)
        self._strip.set_table(table)
        self.tell()
