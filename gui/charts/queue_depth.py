"""How much work waits: items that are ready for a worker, and documents that are still to be read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gui.charts.curves import CurvesCard, Lines
from gui.charts.labels import compact
from gui.words import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PySide6.QtWidgets import QWidget


class QueueDepth(CurvesCard):
    """Ready work items over waiting documents."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty chart."""
        super().__init__(parent)
        self.set_title(
            self.tr("Queue"),
            self.tr("last 60 s"),
            self.tr(
                "Above, what has been read and waits for a worker; below, documents that are still to be read. "
                "When nothing is ready while documents wait, reading is too slow for the workers."
            ),
        )
        self.build(
            Lines(("ready",), 10.0, compact, now_axis=False),
            Lines(("waiting",), 10.0, compact, now_axis=True),
        )

    def words(self) -> Sequence[Sequence[str]]:
        """Return both numbers in words."""
        ready, waiting = self.value("ready"), self.value("waiting")
        if math.isnan(ready):
            return (self.tr("nothing ready"),), (self.tr("nothing waiting"),)
        return (
            (self.tr("{number} ready for a worker").format(number=number(round(ready))),),
            (self.tr("{number} waiting to be read").format(number=number(round(waiting))),),
        )
