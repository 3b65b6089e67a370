"""An editor of a few lines of plain text that is as high as what is in it."""

from __future__ import annotations

import math

from PySide6.QtCore import QMimeData, QSizeF, Qt
from PySide6.QtGui import QResizeEvent, QTextOption
from PySide6.QtWidgets import QPlainTextDocumentLayout, QPlainTextEdit

from gui.widgets.long_lines import has_long_word


class TextArea(QPlainTextEdit):
    """Wraps its lines and shows all of them, up to a limit from which on it scrolls; Tab leaves it."""

    def __init__(self, lines: int, most: int) -> None:
        """Be ``lines`` high at least and ``most`` at most."""
        super().__init__()
        self._lines, self._most = lines, most
        self.setTabChangesFocus(True)
        self.setAcceptDrops(False)  # files are for the window
        self.viewport().setAcceptDrops(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)
        self._fit(QSizeF(0.0, 0.0))

    def setPlainText(self, text: str) -> None:
        """Show ``text``."""
        self._wrap(text)
        super().setPlainText(text)

    def insertFromMimeData(self, source: QMimeData) -> None:
        """Take what is pasted."""
        self._wrap(source.text())
        super().insertFromMimeData(source)

    def _wrap(self, text: str) -> None:
        # Looking for the best place in a line without spaces costs the square of its length (gui.widgets.long_lines).
        mode = QTextOption.WrapMode
        long = has_long_word(text)
        self.setWordWrapMode(mode.WrapAnywhere if long else mode.WrapAtWordBoundaryOrAnywhere)

    def resizeEvent(self, e: QResizeEvent) -> None:
        """Be as high as the text is at the new width: its lines may break elsewhere."""
        super().resizeEvent(e)
        if e.size().width() != e.oldSize().width():
            self._fit(QSizeF(0.0, self._broken_lines()))

    def _broken_lines(self) -> int:
        """Return the lines of the text at this width, at most one more than are shown; Qt breaks only those it paints."""
        layout, lines = self.document().documentLayout(), 0
        block = self.document().begin()
        while block.isValid() and lines <= self._most:
            if isinstance(layout, QPlainTextDocumentLayout):
                layout.ensureBlockLayout(block)
            lines += max(1, block.layout().lineCount())
            block = block.next()
        return lines

    def _fit(self, size: QSizeF) -> None:
        shown = max(self._lines, math.ceil(size.height()))  # the height of a plain text is counted in lines
        policy = Qt.ScrollBarPolicy
        self.setVerticalScrollBarPolicy(policy.ScrollBarAlwaysOff if shown <= self._most else policy.ScrollBarAsNeeded)
        margins = self.contentsMargins()
        height = self.fontMetrics().lineSpacing() * min(self._most, shown) + round(self.document().documentMargin() * 2)
        self.setFixedHeight(height + margins.top() + margins.bottom() + 2 * self.frameWidth())
