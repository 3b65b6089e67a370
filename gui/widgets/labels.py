"""Small labels: one that elides instead of demanding width, one that wraps without deciding the width."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from gui.widgets.long_lines import for_label


class ElidedLabel(QLabel):
    """One line of plain text, elided when there is no room; what does not fit is left to the tooltip."""

    def __init__(self, mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight, parent: QWidget | None = None) -> None:
        """Start empty; ``mode`` says where to leave out what does not fit."""
        super().__init__(parent)
        self._mode = mode
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def minimumSizeHint(self) -> QSize:
        """Return a width of nothing much."""
        return QSize(24, super().minimumSizeHint().height())

    def paintEvent(self, arg__1: QPaintEvent) -> None:
        """Paint as much as fits."""
        del arg__1
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        area = self.contentsRect()
        text = self.fontMetrics().elidedText(self.text(), self._mode, area.width())
        painter.drawText(area, int(self.alignment()), text)
        painter.end()


class WrappedLabel(QLabel):
    """Plain text that wraps; what is very long is shortened, and long words wrap as well (gui.widgets.long_lines)."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        """Show ``text``."""
        super().__init__(parent)
        self._text = ""
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        self.setText(text)

    def setText(self, arg__1: str) -> None:
        """Show a text."""
        self._text = arg__1
        super().setText(for_label(arg__1))

    def text(self) -> str:
        """Return the text that was set."""
        return self._text


def wrapped(text: str = "", *, look: str = "") -> QLabel:
    """Return a plain text label that wraps; ``look`` chooses its style: muted, strong, problem."""
    label = WrappedLabel(text)
    label.setProperty("look", look)
    return label
