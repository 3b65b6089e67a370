"""An editor of a few lines of plain text that is as high as what is in it."""

from __future__ import annotations

import math

from PySide6.QtCore import QMimeData, QSizeF, Qt
from PySide6.QtGui import QTextOption
from PySide6.QtWidgets import QPlainTextEdit

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

    def _fit(self, size: QSizeF) -> None:
        shown = max(self._lines, math.ceil(size.height()))  # the height of a plain text is counted in lines
        policy = Qt.ScrollBarPolicy
        self.setVerticalScrollBarPolicy(policy.ScrollBarAlwaysOff if shown <= self._most else policy.ScrollBarAsNeeded)
        margins = self.contentsMargins()
        height = self.fontMetrics().lineSpacing() * min(self._most, shown) + round(self.document().documentMargin() * 2)
        self.setFixedHeight(height + margins.top() + margins.bottom() + 2 * self.frameWidth())
