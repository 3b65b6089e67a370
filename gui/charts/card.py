"""The frame around a chart: what it measures, in which unit, over which window, and its figures as words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QColor, QFont, QFontMetricsF, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from gui.charts.colours import LIGHT, Colours, colours_of
from gui.charts.plot import Plot

_SWATCH = 8.0  # pixels, as all lengths here
_NEAR = 4.0  # between a swatch and its words
_APART = 9.0  # between entries


class Elided(QLabel):
    """One line of plain text that gives way: it ends in an ellipsis where there is no room."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        """Show ``text``."""
        super().__init__(text, parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._colour = QColor()

    def set_colour(self, colour: str) -> None:
        """Paint the text in ``colour``."""
        self._colour = QColor(colour)
        self.update()

    def pen(self) -> QColor:
        """Return the colour of the text."""
        return self._colour if self._colour.isValid() else self.palette().color(self.foregroundRole())

    def minimumSizeHint(self) -> QSize:
        """Return no width at all, and the height of one line."""
        return QSize(0, super().minimumSizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002 - Qt's signature
        """Paint what fits."""
        painter = QPainter(self)
        painter.setPen(self.pen())
        text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())
        painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), text)


@dataclass(frozen=True)
class Entry:
    """A figure of a caption: its words, and the swatch before them that ties them to the picture."""

    text: str
    brush: QBrush | None = None
    swatch: float = _SWATCH


class Caption(Elided):
    """Figures in words, each behind a swatch of its colour; the legend and the text twin of a picture."""

    def __init__(self, parent: QWidget | None = None, *, lines: int = 1) -> None:
        """Say nothing yet; later use as many of ``lines`` as the entries need."""
        super().__init__("", parent)
        self._entries: tuple[Entry, ...] = ()
        self._lines = lines

    def set_entries(self, *entries: Entry) -> None:
        """Show these; the label's text is their words joined, for screen readers and tests."""
        if entries == self._entries:
            return
        self._entries = entries
        self.setText(", ".join(entry.text for entry in entries))
        self.setToolTip(self.text())
        self._fit()
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Take as many lines as the new width asks for."""
        super().resizeEvent(event)
        self._fit()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002 - Qt's signature
        """Paint the entries until the room ends."""
        painter = QPainter(self)
        painter.setPen(self.pen())
        metrics, width = QFontMetricsF(self.font()), float(self.width())
        left = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for entry, x, line in self._places(metrics):
            top = round(line * metrics.height())
            if entry.brush is not None:
                middle = round(top + (metrics.height() - _SWATCH) / 2.0)
                painter.fillRect(QRectF(x, middle, entry.swatch, _SWATCH), entry.brush)
                x += entry.swatch + _NEAR
            text = metrics.elidedText(entry.text, Qt.TextElideMode.ElideRight, max(0.0, width - x))
            painter.drawText(QRectF(x, top, max(0.0, width - x), metrics.height()), left, text)

    def _places(self, metrics: QFontMetricsF) -> list[tuple[Entry, float, int]]:
        """Return each entry with its left edge and its line; what has no room is left out, except for the first."""
        places: list[tuple[Entry, float, int]] = []
        x, line = 0.0, 0
        for entry in self._entries:
            need = metrics.horizontalAdvance(entry.text) + (entry.swatch + _NEAR if entry.brush is not None else 0.0)
            if x > 0.0 and x + need > self.width() and line + 1 < self._lines:
                x, line = 0.0, line + 1
            if x + need > self.width() and x > 0.0:
                # a swatch whose words were cut off would be a riddle; the tool tip has them all
                break
            places.append((entry, x, line))
            x += need + _APART
        return places

    def _fit(self) -> None:
        metrics = QFontMetricsF(self.font())
        lines = max((line for _, _, line in self._places(metrics)), default=0) + 1
        height = math.ceil(lines * metrics.height())
        if height != self.height():
            self.setFixedHeight(height)


class ChartCard(QWidget):
    """Title and unit above a body of captions and plots, in the colours of the window.

    Subclasses set the title, fill ``body`` and call ``finish``; then they record data whenever it comes, paint it in
    ``draw`` and word it in ``tell``.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make the frame, without words yet."""
        super().__init__(parent)
        self.colours: Colours = LIGHT
        self._finished = False
        self._title = Elided()
        self._title.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Fixed)
        self._unit = Elided()
        head = QHBoxLayout()
        head.setSpacing(6)
        head.addWidget(self._title)
        head.addWidget(self._unit, 1)
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(6, 2, 4, 2)
        self.body.setSpacing(1)
        self.body.addLayout(head)
        self.setMinimumWidth(120)

    def set_title(self, title: str, unit: str, about: str) -> None:
        """Say what is measured, in which unit over which window of time, and ``about`` it what a newcomer asks."""
        self._title.setText(title)
        self._unit.setText(unit)
        for label in (self._title, self._unit):
            label.setToolTip(f"<span>{about}</span>")  # rich, so that it wraps
        self.setAccessibleName(title)
        self._describe(unit)

    def finish(self) -> None:
        """Bring everything into the colours and fonts of the window; call once, at the end of the constructor."""
        self._finished = True
        self._dress()

    def describe(self, text: str) -> None:
        """Set the text twin: the figures on show in one sentence."""
        self._describe(f"{self._unit.text()}. {text}")

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme and the font of the window."""
        super().changeEvent(event)
        if self._finished and event.type() in (
            QEvent.Type.PaletteChange,
            QEvent.Type.FontChange,
            QEvent.Type.StyleChange,
        ):
            self._dress()

    def recolour(self) -> None:
        """Take over ``colours``; subclasses set their curves, tables and swatches here."""

    def _describe(self, text: str) -> None:
        if text != self.accessibleDescription():
            self.setAccessibleDescription(text)

    def _dress(self) -> None:
        self.colours = colours_of(self.palette())
        small, bold = QFont(self.font()), QFont(self.font())
        small.setPointSizeF(max(6.5, self.font().pointSizeF() * 0.85))
        bold.setPointSizeF(self.font().pointSizeF() * 0.95)
        bold.setWeight(QFont.Weight.DemiBold)
        self._title.setFont(bold)
        for label in self.findChildren(Elided):
            if label is not self._title:
                label.setFont(small)
        self._unit.set_colour(self.colours.muted)
        for plot in self.findChildren(Plot):
            plot.set_font(small)
            plot.set_colours(self.colours)
        self.recolour()
