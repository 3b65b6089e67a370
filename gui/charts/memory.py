"""What it costs: memory of the two processes, and what the machine has left."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gui.charts.curves import CurvesCard, Lines
from gui.charts.labels import compact_size, short_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PySide6.QtWidgets import QWidget


class Memory(CurvesCard):
    """Resident memory of engine and window over the memory that is available."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty chart."""
        super().__init__(parent)
        self.set_title(
            self.tr("Memory"),
            self.tr("last 60 s"),
            self.tr("How much memory engine and window hold (resident bytes), and how much the machine has left."),
        )
        self._total = self._kept = 0
        self.build(
            Lines(("engine", "window"), 1e8, compact_size, now_axis=False, lines=3),
            Lines(("available",), 1e9, compact_size, now_axis=True),
        )

    def set_total(self, total: int, kept: int = 0) -> None:
        """Say how many bytes the machine has, and how many of the engine's are keys and values of running texts."""
        self._total, self._kept = total, kept

    def words(self) -> Sequence[Sequence[str]]:
        """Return the sizes in words."""
        engine, window, available = (self.value(field) for field in ("engine", "window", "available"))
        sizes = [self.tr("engine {size}").format(size=short_size(engine))] if not math.isnan(engine) else []
        if not math.isnan(window):
            sizes.append(self.tr("window {size}").format(size=short_size(window)))
        if self._kept:
            sizes.append(self.tr("keys and values {size}").format(size=short_size(self._kept)))
        if math.isnan(available):
            return sizes, (self.tr("not measured yet"),)
        free = self.tr("{size} free of {total}")
        return sizes, (free.format(size=short_size(available), total=short_size(self._total)),)
