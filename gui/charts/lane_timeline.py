"""What each lane did in the last minute, as a strip of activities."""

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

    from engine.metrics.snapshot import LaneState

ACTIVITIES = ("encode", "prefill", "decode", "prepare", "waiting", "idle")
"""What a lane can be doing, in the order of the legend; a lane that ended has no data. Codes count from 1."""

_CODES = {activity: code for code, activity in enumerate(ACTIVITIES, 1)}
_PATIENCE = 1.0  # seconds that a lane's last word holds for when no snapshot comes


class LaneTimeline(ChartCard):
    """One strip a lane; the legend says in words what the colours mean and which share of the minute they took."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty chart."""
        super().__init__(parent)
        self.set_title(
            self.tr("Lanes"),
            self.tr("last 60 s"),
            self.tr(
                "What each lane does. Encode: computing with the model. Prefill: reading a prompt. Decode: writing an "
                "answer. Reading: taking in a document. Waiting: nothing is ready yet. Idle: nothing is left to do."
            ),
        )
        self._words = {
            "encode": self.tr("encode"),
            "prefill": self.tr("prefill"),
            "decode": self.tr("decode"),
            "prepare": self.tr("reading"),
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
        self._lanes: tuple[LaneState, ...] = ()
        self._bands: list[Band] = []
        self._heard = 0.0
        self.finish()

    def record(self, now: float, lanes: Sequence[LaneState] | None) -> None:
        """Take what the lanes do at ``now``, the window's clock; None when there is nothing new from the engine."""
        if lanes is not None:
            # Without a model there are no lanes; those that were keep their strips until the minute is over.
            self._lanes = tuple(lanes) or tuple(replace(lane, activity="ended") for lane in self._lanes)
            self._heard = now
            self._columns.need(len(self._lanes))
            self._columns.codes[len(self._lanes) :] = 0  # lanes of an older plan
        fresh = self._columns.advance(now)
        if fresh and now - self._heard <= _PATIENCE:
            known = min(fresh, round(_PATIENCE / self._columns.step))
            for row, lane in enumerate(self._lanes):
                self._columns.codes[row, -known:] = _CODES.get(lane.activity, 0)

    def draw(self) -> None:
        """Paint the last minute."""
        codes = self._columns.codes[: len(self._lanes)]
        _, width = self._strip.room()
        factor = max(1, -(-codes.shape[1] // width))
        picked, excess = pick_columns(codes, factor, self._columns.newest)
        step = self._columns.step
        if len(self._bands) != len(self._lanes):
            self._bands = [Band(name, begins=True) for name in self._names()]
        self._strip.show_rows(self._bands, picked, step * factor, step * excess)

    def tell(self) -> None:
        """Bring legend, labels and text twin up to date; meant for once a second."""
        lanes, names = self._lanes, self._names()
        self._bands = [Band(name, begins=True) for name in names]
        counts = np.bincount(self._columns.codes[: len(lanes)].ravel(), minlength=len(ACTIVITIES) + 1)[1:]
        total = int(counts.sum())
        shares = {name: count / total for name, count in zip(ACTIVITIES, counts.tolist(), strict=True) if count}
        if not shares:
            self._caption.set_entries(Entry(self.tr("no lanes yet")))
            self.describe(self._caption.text())
            return
        self._caption.set_entries(
            *(
                Entry(f"{self._words[name]} {part(share)}", QBrush(QColor(self.colours.activities[name])))
                for name, share in shares.items()
            )
        )
        doing = (
            self.tr("{lane}: {activity}").format(lane=name, activity=self._words.get(lane.activity, lane.activity))
            for name, lane in zip(names, lanes, strict=True)
        )
        self.describe("; ".join([*doing, self._caption.text()]))

    def _names(self) -> list[str]:
        return [self.tr("lane {number}").format(number=lane.index) for lane in self._lanes]

    def clear(self) -> None:
        """Forget everything."""
        self._columns.clear()
        self._lanes = ()
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
