"""A dock with a quiet title bar: its name, a button to let it float and one to hide it.

While it floats it is a window like others, with the frame and the title of the desktop, which knows how to move and resize
it; a line above the panel then has the way back. One that can be folded is a single line until somebody opens it.
"""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QIcon
from PySide6.QtWidgets import (
    QDockWidget,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.theme import Theme
from gui.widgets.one_line import OneLine

_FRAMED = (
    Qt.WindowType.Tool
    | Qt.WindowType.CustomizeWindowHint
    | Qt.WindowType.WindowTitleHint
    | Qt.WindowType.WindowSystemMenuHint
    | Qt.WindowType.WindowCloseButtonHint
)
_DRAGGED = 50  # milliseconds between two looks whether the mouse still drags the panel
_MOST = 16_777_215  # Qt's own largest height of a widget


class Dock(QDockWidget):
    """A panel that can be hidden, moved and resized. ``folded_changed`` comes when it was opened or folded."""

    folded_changed = Signal()

    def __init__(
        self, name: str, title: str, content: QWidget, theme: Theme, parent: QMainWindow, *, folds: bool = False
    ) -> None:
        """Hold ``content`` under ``title``; ``name`` is what the remembered layout knows it by."""
        super().__init__(title, parent)
        self.setObjectName(name)
        self._theme, self._title = theme, title
        self.folded = False
        self._bar = QWidget()
        row = QHBoxLayout(self._bar)
        row.setContentsMargins(8, 4, 4, 2)
        row.setSpacing(0)
        self._heading = QLabel(title.upper())
        self._heading.setProperty("look", "heading")
        self._heading.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.line = OneLine()
        self.line.setText(title)
        self.line.clicked.connect(lambda: self.fold(folded=False))
        self.line.hide()
        self._float = self._button(self.tr("Let {panel} float in a window of its own").format(panel=title))
        self._float.clicked.connect(lambda: self.setFloating(True))
        self.unfold = self._button(self.tr("Open {panel}").format(panel=title))
        self.unfold.clicked.connect(lambda: self.fold(folded=not self.folded))
        self.unfold.setVisible(folds)
        self._hide = self._button(self.tr("Hide {panel}").format(panel=title))
        self._hide.clicked.connect(self.close)
        row.addWidget(self._heading, 1)
        row.addWidget(self.line, 1)
        for button in (self._float, self.unfold, self._hide):
            row.addWidget(button)
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
        self._body = QWidget()
        self._column = QVBoxLayout(self._body)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._column.addWidget(self.back, 0, Qt.AlignmentFlag.AlignRight)
        self._content = content
        self._column.addWidget(content, 1)
        super().setWidget(self._body)
        self.topLevelChanged.connect(lambda _floats: self._frame())
        theme.changed.connect(self._dress)
        self._dress()

    def content(self) -> QWidget:
        """Return the panel that it holds."""
        return self._content

    def wanted(self) -> int:
        """Return the height that shows all of the panel."""
        held = self._content.widget() if isinstance(self._content, QScrollArea) else self._content
        layout = held.layout() if held is not None else None
        return self._bar.sizeHint().height() + (layout.totalHeightForWidth(self.width()) if layout is not None else 0)

    def fold(self, *, folded: bool) -> None:
        """Show the panel as one line, or whole."""
        if folded == self.folded:
            return
        focused = self._body.isAncestorOf(focus) if (focus := self.focusWidget()) is not None else False
        self.folded = folded
        self._heading.setVisible(not folded)
        self._float.setVisible(not folded)
        self.line.setVisible(folded)
        self._content.setVisible(not folded)
        self._body.setMaximumHeight(0 if folded else _MOST)  # hidden as a whole it would take the dock's width along
        text = self.tr("Open {panel}") if folded else self.tr("Fold {panel}")
        self.unfold.setToolTip(text.format(panel=self._title))
        self.unfold.setAccessibleName(self.unfold.toolTip())
        if folded and focused:
            self.line.setFocus(Qt.FocusReason.OtherFocusReason)
        self._dress()
        self.folded_changed.emit()

    def say(self, text: str, icon: QIcon) -> None:
        """Say how the panel is, in the line that it is while folded."""
        self.line.setText(text)
        self.line.setToolTip(text)
        self.line.setAccessibleName(self.tr("{panel}: {state}").format(panel=self._title, state=text))
        self.line.setIcon(icon)

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
            self.fold(folded=False)
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
        self.unfold.setIcon(self._theme.icon("expand" if self.folded else "collapse", "muted"))
        self._hide.setIcon(self._theme.icon("close", "muted"))
        self.back.setIcon(self._theme.icon("float", "muted"))
