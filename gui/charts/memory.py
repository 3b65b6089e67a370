"""What it costs: memory of the two processes, and what the machine has left."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gui.charts.curves import CurvesCard, Lines
from gui.charts.labels import compact_size
from gui.words import data_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PySide6.QtWidgets import QWidget


class Memory(CurvesCard):
    """Resident memory of engine and window over the memory that is available."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty chart."""
        super().__init__(parent)
        self.set_title(self.tr("Memory"), self.tr("resident bytes, last 60 s"))
        self._total = 0
        self.build(
            Lines(("engine", "window"), 1e8, compact_size, now_axis=False),
            Lines(("available",), 1e9, compact_size, now_axis=True),
        )

    def set_total(self, total: int) -> None:
        """Say how many bytes the machine has."""
        self._total = total

    def words(self) -> Sequence[Sequence[str]]:
        """Return the sizes in words."""
        engine, window, available = (self._size(field) for field in ("engine", "window", "available"))
        free = self.tr("{size} free of {total}").format(size=available, total=data_size(self._total))
        return (
            (self.tr("engine {size}").format(size=engine), self.tr("window {size}").format(size=window)),
            (free if self._total else self.tr("free memory unknown"),),
        )

    def _size(self, field: str) -> str:
        value = self.value(field)
        return self.tr("none") if math.isnan(value) else data_size(round(value))
