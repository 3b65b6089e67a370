"""A plot of the last minute on fixed axes: curves or an image over a background that is painted once.

Only pyqtgraph's view box and items are used. Its axes repaint their text with every frame, whereas this background
(field, grid, labels) lives in the view's cached pixmap and is painted again only when a label changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen
from PySide6.QtWidgets import QGraphicsView, QSizePolicy, QWidget

from gui.charts.colours import LIGHT, Colours
from gui.charts.series import WINDOW

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

pg.setConfigOptions(antialias=False, useOpenGL=False)

_GAP = 4.0  # pixels between a label and the field


@dataclass(frozen=True, slots=True)
class Mark:
    """A label at the left: ``position`` in data units, ``text`` at the far left, ``value`` right beside the field."""

    position: float
    text: str = ""
    value: str = ""


class Plot(pg.GraphicsView):
    """Curves and images over "seconds ago". Pixels of the view are the units of its scene."""

    def __init__(self, parent: QWidget | None = None, *, now_axis: bool = True) -> None:
        """Make an empty plot; ``now_axis`` leaves room for the time labels at the bottom."""
        # drawBackground may run before this constructor is through
        self._box: pg.ViewBox | None = None
        super().__init__(parent, useOpenGL=False)
        self.setBackground(None)
        self._colours = LIGHT
        self._marks: tuple[Mark, ...] = ()
        self._lines: tuple[float, ...] = ()
        self._times: tuple[str, str, str] = ("", "", "")
        self._now_axis = now_axis
        self._left = 0.0
        self._head = 2.0
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setInteractive(False)
        self.setMouseTracking(False)
        self.setAcceptDrops(False)  # files dropped here are for the window
        self.viewport().setAcceptDrops(False)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setCacheMode(QGraphicsView.CacheModeFlag.CacheBackground)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(40, 24)
        self._box = pg.ViewBox(enableMenu=False, enableMouse=False, defaultPadding=0.0)
        self._box.disableAutoRange()
        self._box.setXRange(-WINDOW, 0.0, padding=0.0)
        self._box.setYRange(0.0, 1.0, padding=0.0)
        self.centralLayout.addItem(self._box, 0, 0)
        self.centralLayout.setSpacing(0)
        self._place()

    @property
    def box(self) -> pg.ViewBox:
        """The view box that holds the items."""
        assert self._box is not None
        return self._box

    def sizeHint(self) -> QSize:
        """Let the layout decide: a plot takes what there is."""
        return QSize(120, 60)

    def add(self, item: pg.GraphicsObject) -> None:
        """Show ``item``, in data units, over the background. Its bounds never move the axes."""
        self.box.addItem(item, ignoreBounds=True)

    def set_colours(self, colours: Colours) -> None:
        """Use another theme."""
        self._colours = colours
        self._repaint_background()

    def set_font(self, font: QFont) -> None:
        """Use ``font`` for all labels."""
        self.setFont(font)
        self._place()

    def set_times(self, oldest: str, middle: str, newest: str) -> None:
        """Set the words under the left edge, the middle and the right edge."""
        self._times = (oldest, middle, newest)
        self._repaint_background()

    def set_top(self, top: float) -> None:
        """Let the value axis run from 0 to ``top``; a little more, so that no line is cut at the edges."""
        self.box.setYRange(-0.03 * top, 1.06 * top, padding=0.0)

    def set_downwards(self) -> None:
        """Let the value axis run downwards from 0 to 1, for strips."""
        self.box.invertY(b=True)
        self.box.setYRange(0.0, 1.0, padding=0.0)
        self._place()

    def set_head(self, height: float) -> None:
        """Leave ``height`` pixels above the field of strips."""
        if height != self._head:
            self._head = height
            self._place()

    def set_marks(self, marks: Iterable[Mark], lines: Sequence[float] = ()) -> None:
        """Label the left side, and draw grid lines across at ``lines`` (data units)."""
        marks, lines = tuple(marks), tuple(lines)
        if (marks, lines) != (self._marks, self._lines):
            self._marks, self._lines = marks, lines
            self._place()

    def set_left(self, width: float) -> None:
        """Leave ``width`` pixels for the labels at the left."""
        if width != self._left:
            self._left = width
            self._place()

    def field(self) -> QRectF:
        """Return the field, without the labels, in pixels."""
        return self.box.mapRectToScene(self.box.rect())

    def _place(self) -> None:
        height = QFontMetricsF(self.font()).height()
        # the topmost label is centred on its line, and half of it needs room above the field
        top = self._head if self.box.yInverted() else round(height / 2.0) - 1.0
        bottom = height + 2.0 if self._now_axis else round(height / 2.0) - 1.0
        self.centralLayout.setContentsMargins(self._left, top, 3.0, bottom)
        self.centralLayout.activate()
        self._repaint_background()

    def _repaint_background(self) -> None:
        self.resetCachedContent()
        self.viewport().update()

    def drawBackground(self, painter: QPainter, rect: QRectF | QRect) -> None:  # noqa: ARG002 - Qt's signature
        """Paint field, grid and labels; called only when the cached pixmap is stale."""
        if self._box is None:
            return
        colours, field = self._colours, self.field()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
        painter.fillRect(field, QColor(colours.field))
        painter.setPen(QPen(QColor(colours.grid), 1))
        for line in self._lines:
            y = round(self._y(line)) + 0.5
            painter.drawLine(QPointF(field.left(), y), QPointF(field.right(), y))
        for x in (field.left() + field.width() * part for part in (0.25, 0.5, 0.75)):
            painter.drawLine(QPointF(round(x) + 0.5, field.top()), QPointF(round(x) + 0.5, field.bottom()))
        painter.setFont(self.font())
        painter.setPen(QColor(colours.muted))
        self._paint_marks(painter, field)
        if self._now_axis:
            self._paint_times(painter, field)

    def _paint_marks(self, painter: QPainter, field: QRectF) -> None:
        height = QFontMetricsF(self.font()).height()
        for mark in self._marks:
            box = QRectF(1.0, self._y(mark.position) - height / 2.0, field.left() - _GAP - 1.0, height)
            painter.drawText(box, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), mark.value)
            painter.drawText(box, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), mark.text)

    def _paint_times(self, painter: QPainter, field: QRectF) -> None:
        metrics = QFontMetricsF(self.font())
        box = QRectF(field.left(), field.bottom() + 1.0, field.width(), metrics.height())
        roomy = metrics.horizontalAdvance(" ".join(self._times)) + 8.0 < field.width()
        sides = (Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignHCenter, Qt.AlignmentFlag.AlignRight)
        for text, side in zip(self._times, sides, strict=True):
            if roomy or side != Qt.AlignmentFlag.AlignHCenter:
                painter.drawText(box, int(side | Qt.AlignmentFlag.AlignTop), text)

    def _y(self, value: float) -> float:
        return self.box.mapViewToScene(QPointF(0.0, value)).y()


class Curve:
    """One line of a plot: a persistent item whose arrays are replaced."""

    def __init__(self, plot: Plot) -> None:
        """Add the line, still without data, to ``plot``."""
        self._item = pg.PlotCurveItem(connect="finite", antialias=False)
        plot.add(self._item)

    def set_colour(self, colour: str) -> None:
        """Use an opaque pen, one pixel wide: anything else leaves Qt's fast path for lines."""
        self._item.setPen(pg.mkPen(colour, width=1))

    def set_data(self, ago: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        """Show ``values`` at ``ago`` (seconds, 0 = now, negative before); NaN leaves a gap."""
        self._item.setData(ago, values)
