"""What an empty pile says: drop files here, or open the sample pile."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from gui.theme import Theme
from gui.widgets.labels import wrapped

_ICON = 48  # logical pixels a side


def _button(action: QAction, *, primary: bool = False) -> QPushButton:
    """Return a push button that is the twin of an action of the menu."""
    button = QPushButton(action.text())
    button.setProperty("look", "primary" if primary else "")
    button.setToolTip(action.toolTip())
    button.clicked.connect(action.trigger)
    return button


class Welcome(QFrame):
    """The first thing a new user sees; also what an empty pile shows."""

    def __init__(
        self, theme: Theme, add_files: QAction, add_folder: QAction, sample: QAction, parent: QWidget | None = None
    ) -> None:
        """Offer the three ways to begin."""
        super().__init__(parent)
        self._theme = theme
        self.setProperty("look", "dropzone")
        self._icon = QLabel()
        self._icon.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._title = title = QLabel(self.tr("Drop files or folders here"))
        title.setAlignment(Qt.AlignmentFlag.AlignCenter)
        font = title.font()
        font.setPointSizeF(font.pointSizeF() * 1.6)
        font.setBold(True)
        title.setFont(font)
        self._words = words = wrapped(
            self.tr(
                "Texts, PDF and office files, web pages, mails, and the rows of tables: every document becomes one row. "
                "Files are read where they are, never changed, and nothing leaves this machine."
            ),
            look="muted",
        )
        words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        words.setMaximumWidth(440)
        self.buttons = [_button(add_files), _button(add_folder), _button(sample, primary=True)]
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addStretch(1)
        for button in self.buttons:
            row.addWidget(button)
        row.addStretch(1)
        hint = QHBoxLayout()
        hint.addStretch(1)
        hint.addWidget(words, 10)
        hint.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 12, 24, 12)
        column.setSpacing(12)
        column.addStretch(1)
        column.addWidget(self._icon)
        column.addWidget(title)
        column.addLayout(hint)
        column.addLayout(row)
        column.addStretch(1)
        self._column = column
        theme.changed.connect(self._dress)
        self._dress()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave the picture out where there is room for the words only, and the explanation where there is not."""
        super().resizeEvent(event)
        apart = self._column.spacing()
        words = self._words.heightForWidth(min(self._words.maximumWidth(), self.width() - 48)) + apart
        room = self.height() - self.minimumSizeHint().height()
        self._words.setVisible(room >= words)
        self._icon.setVisible(room >= words + _ICON + apart)

    def minimumSizeHint(self) -> QSize:
        """Return what title and buttons need."""
        margins = self._column.contentsMargins()
        high = self._title.sizeHint().height() + self._column.spacing() + self.buttons[0].sizeHint().height()
        return QSize(240, high + margins.top() + margins.bottom() + 2 * self.frameWidth())

    def _dress(self) -> None:
        self._icon.setPixmap(self._theme.pixmap("drop", "accent", _ICON, ratio=self.devicePixelRatio()))
        self._icon.setFixedHeight(_ICON)
