"""A dock with a quiet title bar: its name, a button to let it float and one to hide it."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QDockWidget, QHBoxLayout, QLabel, QMainWindow, QSizePolicy, QToolButton, QWidget

from gui.theme import Theme


class Dock(QDockWidget):
    """A panel that can be hidden, moved and resized."""

    def __init__(self, name: str, title: str, content: QWidget, theme: Theme, parent: QMainWindow) -> None:
        """Hold ``content`` under ``title``; ``name`` is what the remembered layout knows it by."""
        super().__init__(title, parent)
        self.setObjectName(name)
        self._theme = theme
        bar = QWidget()
        row = QHBoxLayout(bar)
        row.setContentsMargins(8, 4, 4, 2)
        row.setSpacing(0)
        label = QLabel(title.upper())
        label.setProperty("look", "heading")
        label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._float = self._button(self.tr("Float or dock {panel}").format(panel=title))
        self._float.clicked.connect(lambda: self.setFloating(not self.isFloating()))
        self._hide = self._button(self.tr("Hide {panel}").format(panel=title))
        self._hide.clicked.connect(self.close)
        row.addWidget(label, 1)
        row.addWidget(self._float)
        row.addWidget(self._hide)
        self.setTitleBarWidget(bar)
        self.setWidget(content)
        theme.changed.connect(self._dress)
        self._dress()

    def _button(self, text: str) -> QToolButton:
        button = QToolButton()
        button.setToolTip(text)
        button.setAccessibleName(text)
        button.setIconSize(QSize(14, 14))
        button.setProperty("look", "small")
        return button

    def _dress(self) -> None:
        self._float.setIcon(self._theme.icon("float", "muted"))
        self._hide.setIcon(self._theme.icon("close", "muted"))
