"""A dock with a quiet title bar: its name, a button to let it float and one to hide it.

While it floats it is a window like others, with the frame and the title of the desktop, which knows how to move and resize
it; a line above the panel then has the way back.
"""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QDockWidget,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.theme import Theme

_FRAMED = (
    Qt.WindowType.Tool
    | Qt.WindowType.CustomizeWindowHint
    | Qt.WindowType.WindowTitleHint
    | Qt.WindowType.WindowSystemMenuHint
    | Qt.WindowType.WindowCloseButtonHint
)
_DRAGGED = 50  # milliseconds between two looks whether the mouse still drags the panel


class Dock(QDockWidget):
    """A panel that can be hidden, moved and resized."""

    def __init__(self, name: str, title: str, content: QWidget, theme: Theme, parent: QMainWindow) -> None:
        """Hold ``content`` under ``title``; ``name`` is what the remembered layout knows it by."""
        super().__init__(title, parent)
        self.setObjectName(name)
        self._theme = theme
        self._bar = QWidget()
        row = QHBoxLayout(self._bar)
        row.setContentsMargins(8, 4, 4, 2)
        row.setSpacing(0)
        label = QLabel(title.upper())
        label.setProperty("look", "heading")
        label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._float = self._button(self.tr("Let {panel} float in a window of its own").format(panel=title))
        self._float.clicked.connect(lambda: self.setFloating(True))
        self._hide = self._button(self.tr("Hide {panel}").format(panel=title))
        self._hide.clicked.connect(self.close)
        row.addWidget(label, 1)
        row.addWidget(self._float)
        row.addWidget(self._hide)
        self.setTitleBarWidget(self._bar)
        self._no_bar = QWidget(self)
        self._no_bar.setFixedHeight(0)
        self._no_bar.hide()
        self.back = QToolButton()
        self.back.setText(self.tr("Put back"))
        self.back.setToolTip(self.tr("Put {panel} back into the window").format(panel=title))
        self.back.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.back.setIconSize(QSize(14, 14))
        self.back.clicked.connect(lambda: self.setFloating(False))
        self.back.hide()
        body = QWidget()
        self._column = QVBoxLayout(body)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._column.addWidget(self.back, 0, Qt.AlignmentFlag.AlignRight)
        self._content = content
        self._column.addWidget(content, 1)
        super().setWidget(body)
        self.topLevelChanged.connect(lambda _floats: self._frame())
        theme.changed.connect(self._dress)
        self._dress()

    def setWidget(self, widget: QWidget) -> None:
        """Hold another panel in place of the one before."""
        self._column.replaceWidget(self._content, widget)
        self._content.deleteLater()
        self._content = widget

    def content(self) -> QWidget:
        """Return the panel that it holds."""
        return self._content

    def _frame(self) -> None:
        """Have the desktop's frame while floating, and the quiet title bar otherwise."""
        if not self.isFloating():
            self.back.hide()
            if self.titleBarWidget() is not self._bar:
                self.setTitleBarWidget(self._bar)
                self._bar.show()
        elif QGuiApplication.mouseButtons():
            QTimer.singleShot(_DRAGGED, self, self._frame)  # another frame would end the drag
        elif self.titleBarWidget() is self._bar:
            self._bar.hide()
            self.back.show()
            self.setTitleBarWidget(self._no_bar)
            # Qt draws a frame of its own on X11 and none that can be seen with a title bar that is a widget.
            self.setWindowFlags(_FRAMED)
            self.show()

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
        self.back.setIcon(self._theme.icon("float", "muted"))
