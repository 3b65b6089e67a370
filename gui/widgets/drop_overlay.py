"""What the window shows while files are dragged over it."""

from __future__ import annotations

from PySide6.QtCore import QRect, QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from gui.theme import Theme


class DropOverlay(QWidget):
    """Covers the window with a tint and a sentence; the mouse goes through it."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        """Cover ``parent`` when asked to."""
        super().__init__(parent)
        self._covered = parent
        self._theme = theme
        self._pile, self._model = self.tr("Drop to add to the pile"), self.tr("Drop to open this model")
        self.text = self._pile
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def open(self, model: QRect | None = None) -> None:
        """Cover the whole parent, or the place ``model`` where a drop opens a model."""
        self.text = self._pile if model is None else self._model
        self.setAccessibleName(self.text)
        self.setGeometry(self._covered.rect() if model is None else model)
        self.update()
        self.raise_()
        self.show()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the tint, a dashed frame and the sentence."""
        del event
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tint = self._theme.colour("soft")
        tint.setAlphaF(0.85)
        painter.fillRect(self.rect(), tint)
        pen = QPen(self._theme.colour("accent"), 2, Qt.PenStyle.DashLine)
        painter.setPen(pen)
        apart = min(16, self.height() // 12)  # a panel that is one line has no room for more
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(apart, apart, -apart, -apart), 12, 12)
        font = self.font()
        font.setPointSizeF(font.pointSizeF() * (1.8 if self.width() > 500 else 1.2))
        font.setBold(True)
        painter.setFont(font)
        apart = round(apart * 1.5)
        room = self.rect().adjusted(apart, apart, -apart, -apart)
        painter.drawText(room, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self.text)
        painter.end()
