"""Horizontal strips under each other, one a row, coloured by a table: what heat and lane charts are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QRectF
from PySide6.QtGui import QFontMetricsF

from gui.charts.columns import pixel_rows
from gui.charts.plot import Mark, Plot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PySide6.QtWidgets import QWidget


class Strip(Plot):
    """Rows of colour over "seconds ago". The image is made in device pixels, so that rows and gaps are sharp."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Show no rows yet."""
        super().__init__(parent)
        self._image = pg.ImageItem(axisOrder="row-major")
        self.add(self._image)
        self.set_rows(1)
        self._names: tuple[str, ...] = ()
        self._values: tuple[str, ...] = ()

    def set_table(self, table: NDArray[np.uint8]) -> None:
        """Use ``table`` [256, 4] (RGBA) as the colours of the codes."""
        self._image.setLookupTable(table)

    def room(self) -> tuple[int, int]:
        """Return the height and width of the field in device pixels."""
        field, ratio = self.field(), self.devicePixelRatioF()
        return max(1, round(field.height() * ratio)), max(1, round(field.width() * ratio))

    def row_height(self, rows: int) -> float:
        """Return the height of one of ``rows`` rows in pixels."""
        return self.field().height() / max(rows, 1)

    def show_codes(self, codes: NDArray[np.uint8], breaks: Sequence[int], step: float, excess: float = 0.0) -> None:
        """Show ``codes`` [rows, columns]; a column is ``step`` seconds, the last ends ``excess`` seconds after now.

        ``breaks`` are the rows that begin a group. What lies after now is cut off by the field.
        """
        if not len(codes):
            self._image.clear()
            return
        height, _ = self.room()
        padded = np.concatenate([codes, np.zeros((1, codes.shape[1]), np.uint8)])
        self.set_rows(len(codes))
        self._image.setImage(padded[pixel_rows(len(codes), breaks, height)], autoLevels=False)
        seconds = codes.shape[1] * step
        self._image.setRect(QRectF(excess - seconds, 0.0, seconds, float(len(codes))))

    def set_labels(
        self, names: Sequence[str], values: Sequence[str] = (), widest: Sequence[str] = (), begins: Sequence[int] = ()
    ) -> None:
        """Label the rows at the left, with ``names`` and, if there are any, ``values``.

        ``widest`` are the values that must always fit, so that the field stays put. Where rows are low, only those in
        ``begins`` are named, the first of which come first where there is no room for all.
        """
        metrics = QFontMetricsF(self.font())
        advance = metrics.horizontalAdvance
        name = max((advance(n) for n in names), default=0.0)
        value = max((advance(w) for w in widest), default=0.0)
        self.set_left(round(name + value + (14.0 if value else 6.0)))
        height, apart = self.row_height(len(names)), metrics.height() - 3.0
        marks: dict[int, Mark] = {}
        for row in range(len(names)) if height >= apart else begins:
            if all(abs(row - other) * height >= apart for other in marks):
                marks[row] = Mark(row + 0.5, names[row], values[row] if values else "")
        self.set_marks([marks[row] for row in sorted(marks)])
