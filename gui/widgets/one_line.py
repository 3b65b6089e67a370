"""A panel in one line: its state as an icon and a few words, which opens it."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QStyle, QStyleOptionToolButton, QStylePainter, QToolButton

_BESIDE = 26
"""Logical pixels of a line that its words do not have: the icon, and the room around both."""


class OneLine(QToolButton):
    """A button as wide as there is room, whose words are elided when that is too little."""

    def __init__(self) -> None:
        """Say nothing yet."""
        super().__init__()
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setIconSize(QSize(16, 16))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setProperty("look", "line")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def minimumSizeHint(self) -> QSize:
        """Return a width of nothing much."""
        return QSize(48, super().sizeHint().height())

    def paintEvent(self, arg__1: QPaintEvent) -> None:
        """Paint as much of the words as fits."""
        del arg__1
        option = QStyleOptionToolButton()
        self.initStyleOption(option)
        room = self.width() - _BESIDE
        option.text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideMiddle, room)  # type: ignore[attr-defined]
        QStylePainter(self).drawComplexControl(QStyle.ComplexControl.CC_ToolButton, option)
