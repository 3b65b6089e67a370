"""Two small plots under each other in one card, each with its curves and their newest values in words."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtGui import QBrush, QColor

from engine.api.history import Ring
from gui.charts.card import Caption, ChartCard, Entry
from gui.charts.plot import Curve, Mark, Plot
from gui.charts.series import WINDOW, Scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PySide6.QtWidgets import QWidget

CAPACITY = 330
"""Records of the last minute at five a second, and a few more so that the curve begins outside the field."""


class Lines:
    """A plot with one curve a field of a ring, on a value axis of its own."""

    def __init__(
        self, fields: Sequence[str], least: float, axis: Callable[[float], str], *, now_axis: bool, lines: int = 1
    ) -> None:
        """Show ``fields``; the axis never ends below ``least`` and ``axis`` words its labels.

        ``now_axis`` leaves room for the time labels; the caption takes up to ``lines`` lines.
        """
        self.fields = tuple(fields)
        self.scale = Scale(least)
        self.caption = Caption(lines=lines)
        self.plot = Plot(now_axis=now_axis)
        self.curves = [Curve(self.plot) for _ in self.fields]
        self.axis = axis
        self.label()

    def label(self) -> None:
        """Label the axis as it stands."""
        top = self.scale.top
        self.plot.set_top(top)
        self.plot.set_marks((Mark(0.0, "", self.axis(0.0)), Mark(top, "", self.axis(top))), (top / 2.0, top))


class CurvesCard(ChartCard):
    """Curves over the last minute. Subclasses say which, and word their values."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make the card; call ``build`` next."""
        super().__init__(parent)
        self._lines: tuple[Lines, ...] = ()
        self._ring = Ring(1, ("time",))
        self._ago = np.zeros(0)

    def build(self, *lines: Lines) -> None:
        """Put the plots under each other; the lowest has the time axis."""
        self._lines = lines
        fields = ("time", *(field for part in lines for field in part.fields))
        self._ring = Ring(CAPACITY, fields)
        self._ago = np.zeros(CAPACITY)
        for part in lines:
            part.plot.set_times(self.tr("60 s"), self.tr("30 s"), self.tr("now"))
            self.body.addWidget(part.caption)
            self.body.addWidget(part.plot, 1)
        self.finish()

    def record(self, now: float, *values: float) -> None:
        """Take the values at ``now``, the window's clock; NaN is a gap."""
        if len(self._ring) and now < self._ring.last("time"):
            self._ring.clear()
        self._ring.append(now, *values)

    def draw(self, now: float) -> None:
        """Paint the last minute."""
        times = self._ring.view("time")
        ago = np.subtract(times, now, out=self._ago[: len(times)])
        visible = int(np.searchsorted(ago, -WINDOW))
        # one record more, left of the field, so that the curve reaches its edge
        visible = max(0, visible - 1)
        for part in self._lines:
            highest = 0.0
            for field, curve in zip(part.fields, part.curves, strict=True):
                values = self._ring.view(field)[visible:]
                curve.set_data(ago[visible:], values)
                if len(values):
                    highest = max(highest, float(np.fmax.reduce(values)))
            if part.scale.update(now, highest):
                part.label()

    def value(self, field: str) -> float:
        """Return the newest value of ``field``, NaN when there is none."""
        return self._ring.last(field)

    def words(self) -> Sequence[Sequence[str]]:
        """Return for each plot the newest values of its curves in words, and after them figures that have no curve."""
        raise NotImplementedError

    def tell(self) -> None:
        """Bring captions and text twin up to date; meant for once a second."""
        told = self.words()
        for part, texts, brushes in zip(self._lines, told, self._brushes(), strict=True):
            part.caption.set_entries(*(Entry(text, brush) for text, brush in zip_longest(texts, brushes) if text))
        self.describe(", ".join(text for texts in told for text in texts))

    def clear(self) -> None:
        """Forget everything."""
        self._ring.clear()
        for part in self._lines:
            part.scale.reset()
            part.label()
        self.draw(0.0)
        self.tell()

    def recolour(self) -> None:
        """Colour curves and swatches."""
        for part, brushes in zip(self._lines, self._brushes(), strict=True):
            for curve, brush in zip(part.curves, brushes, strict=True):
                curve.set_colour(brush.color().name())
            # Room for the widest label of any size, so that the fields of a card line up and stay where they are.
            words = [part.axis(step * power) for step in (1.0, 2.0, 5.0) for power in (1.0, 1e2, 1e5, 1e8, 1e10)]
            part.plot.set_left(max(map(part.plot.fontMetrics().horizontalAdvance, words)) + 6.0)
        self.tell()

    def _brushes(self) -> list[list[QBrush]]:
        colours = [self.colours.first, self.colours.second]
        brushes = iter([QBrush(QColor(colour)) for colour in colours * 2])
        return [[next(brushes) for _ in part.fields] for part in self._lines]
