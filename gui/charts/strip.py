"""Horizontal strips under each other, one a row, coloured by a table: what heat and worker charts are made of."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QRectF, QSize
from PySide6.QtGui import QFont, QFontMetricsF

from gui.charts.bands import Band, Bands
from gui.charts.plot import Mark, Plot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PySide6.QtGui import QResizeEvent
    from PySide6.QtWidgets import QWidget

_TIGHT = 3.0  # pixels of a line's height that are empty: labels may come that much closer


class Strip(Plot):
    """Rows of colour over "seconds ago". The image is made in device pixels, so that rows and gaps are sharp.

    Labels and colours come together, and one ``Bands`` gives both their places.
    """

    def __init__(self, parent: QWidget | None = None, *, widest: str = "") -> None:
        """Show no rows yet; ``widest`` is the value that must always fit, so that the field stays put."""
        self._bands: tuple[Band, ...] = ()  # Qt may resize before the constructor is through
        super().__init__(parent)
        self._image = pg.ImageItem(axisOrder="row-major")
        self.add(self._image)
        self.set_downwards()
        self._widest = widest
        self._codes = np.zeros((0, 1), np.uint8)
        self._step = self._excess = 0.0
        self._placed: tuple[tuple[Band, ...], QSize, float, QFont] | None = None
        self._lines_of_rows = np.zeros(0, np.intp)

    def set_table(self, table: NDArray[np.uint8]) -> None:
        """Use ``table`` [256, 4] (RGBA) as the colours of the codes."""
        self._image.setLookupTable(table)

    def room(self) -> tuple[int, int]:
        """Return the height and width of the field in device pixels."""
        field, ratio = self.field(), self.devicePixelRatioF()
        return max(1, round(field.height() * ratio)), max(1, round(field.width() * ratio))

    def show_rows(self, bands: Sequence[Band], codes: NDArray[np.uint8], step: float, excess: float = 0.0) -> None:
        """Show ``codes`` [rows, columns], labelled by ``bands``, one each.

        A column is ``step`` seconds; the last one ends ``excess`` seconds after now, and what lies after now is cut off
        by the field. Raises ValueError when rows and labels are not as many.
        """
        if len(bands) != len(codes):
            raise ValueError(f"{len(bands)} labels for {len(codes)} rows")
        self._bands, self._codes, self._step, self._excess = tuple(bands), codes, step, excess
        self._show()

    def resizeEvent(self, ev: QResizeEvent) -> None:
        """Put rows and labels where they belong at the new size."""
        super().resizeEvent(ev)
        if self._bands:
            self._show()

    def _show(self) -> None:
        shown, codes = self._bands, self._codes
        if not shown:
            self._image.clear()
            self.set_marks(())
            self._placed = None
            return
        if self._placed != (shown, self.size(), self.devicePixelRatioF(), self.font()):
            self._lines_of_rows = self._place_rows()
            self._placed = (shown, self.size(), self.devicePixelRatioF(), self.font())
        padded = np.concatenate([codes, np.zeros((1, codes.shape[1]), np.uint8)])
        self._image.setImage(padded[self._lines_of_rows], autoLevels=False)
        seconds = codes.shape[1] * self._step
        self._image.setRect(QRectF(self._excess - seconds, 0.0, seconds, 1.0))

    def _place_rows(self) -> NDArray[np.intp]:
        """Put the labels where the rows are, and return which row each line of pixels shows; -1 for gaps."""
        shown = self._bands
        roomy = self._fit()
        places = Bands(len(shown), self.room()[0])
        self.set_marks(
            Mark(places.middle(row) / places.pixels, shown[row].name, shown[row].value if roomy else "")
            for row in places.labelled(self._wanted(all_rows=roomy), self._line() * self.devicePixelRatioF())
        )
        return places.lines([row for row, band in enumerate(shown) if band.begins] if roomy else [])

    def _line(self) -> float:
        return QFontMetricsF(self.font()).height() - _TIGHT

    def _fit(self) -> bool:
        """Leave room for the labels beside and above the field; return whether each row has room for its own."""
        metrics, shown = QFontMetricsF(self.font()), self._bands
        name = max(metrics.horizontalAdvance(band.name) for band in shown)
        below = self.height() - self.field().bottom()
        row = (self.height() - below) / len(shown)
        roomy = row >= self._line()
        value = metrics.horizontalAdvance(self._widest) if roomy and any(band.value for band in shown) else 0.0
        self.set_left(round(name + value + (14.0 if value else 6.0)))
        # A label is centred on its row; that of a low first row needs room above the field.
        self.set_head(2.0 if roomy else math.ceil((metrics.height() - row) / 2.0))
        return roomy

    def _wanted(self, *, all_rows: bool) -> list[int]:
        """Return the rows to label, those first that must be named where there is no room for all.

        Between the labels of low rows there are others: only groups are named then, the first and the last before all.
        """
        last = len(self._bands) - 1
        if all_rows:
            return list(range(last + 1))
        begins = [row for row, band in enumerate(self._bands) if band.begins]
        return list(dict.fromkeys([0, last, *begins]))
