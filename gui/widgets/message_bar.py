"""A slim bar for sentences that need no answer: newest first, the rest behind a button."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from engine.api import Notice
from gui import words
from gui.banner import Banner
from gui.escape import shown
from gui.theme import Theme
from gui.widgets.long_lines import for_label

KEPT = 50
"""How many sentences are kept; the oldest go first."""

LISTED = 6
"""How many of them are shown when the bar is open."""

_ROLES = {"info": "accent", "warning": "warning", "error": "error"}


class MessageBar(QFrame):
    """Not modal, never steals the focus, collapses to one line."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        """Start hidden, with nothing to say."""
        super().__init__(parent)
        self._theme = theme
        self._notices: deque[tuple[Banner, int]] = deque(maxlen=KEPT)
        self._open = False
        self.setProperty("look", "notice")
        self.setAccessibleName(self.tr("Messages"))
        self._rows = QVBoxLayout()
        self._rows.setContentsMargins(0, 5, 0, 5)
        self._rows.setSpacing(4)
        self._more = QToolButton()
        self._more.setToolTip(self.tr("Show or fold further messages"))
        self._more.clicked.connect(self._toggle)
        self._dismiss = QToolButton()
        self._dismiss.setIconSize(QSize(16, 16))
        self._dismiss.setToolTip(self.tr("Dismiss all messages"))
        self._dismiss.setAccessibleName(self.tr("Dismiss all messages"))
        self._dismiss.clicked.connect(self.dismiss)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 3, 8, 3)
        row.setSpacing(8)
        row.addLayout(self._rows, 1)
        row.addWidget(self._more, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._dismiss, 0, Qt.AlignmentFlag.AlignTop)
        self.hide()
        theme.changed.connect(self._show)

    @property
    def texts(self) -> list[str]:
        """The sentences, newest first."""
        return [notice.text for notice, _ in self._notices]

    def add(self, notices: Sequence[Banner | Notice]) -> None:
        """Take further sentences; one that is there already is counted instead of repeated."""
        for told in notices:
            notice = told if isinstance(told, Banner) else Banner(told.level, told.text)
            known = next((entry for entry in self._notices if entry[0] == notice), None)
            if known is not None:
                self._notices.remove(known)
            self._notices.appendleft((notice, 1 + (known[1] if known else 0)))
        if notices:
            self._show()

    def withdraw(self, topic: str) -> None:
        """Take back what was said about ``topic``; what has no topic stays."""
        left = [entry for entry in self._notices if not topic or entry[0].topic != topic]
        if len(left) < len(self._notices):
            self._notices = deque(left, maxlen=KEPT)
            self._open &= len(left) > 1
            self._show()

    def dismiss(self) -> None:
        """Forget all sentences and hide."""
        self._notices.clear()
        self._open = False
        self._show()

    def _toggle(self) -> None:
        self._open = not self._open
        self._show()

    def _show(self) -> None:
        while (item := self._rows.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for notice, times in list(self._notices)[: LISTED if self._open else 1]:
            self._rows.addWidget(self._line(notice, times))
        others = len(self._notices) - 1
        self._more.setVisible(others > 0)
        self._more.setText(self.tr("Fold") if self._open else self.tr("{n} more").format(n=words.number(others)))
        self._dismiss.setIcon(self._theme.icon("close", "muted"))
        self.setVisible(bool(self._notices))

    def _line(self, notice: Banner, times: int) -> QWidget:
        line = QWidget()
        row = QHBoxLayout(line)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        icon = QLabel()
        level = notice.level if notice.level in _ROLES else "info"
        icon.setPixmap(self._theme.icon(level, _ROLES[level]).pixmap(QSize(16, 16), self.devicePixelRatio()))
        word = {"info": self.tr("Note"), "warning": self.tr("Warning"), "error": self.tr("Error")}[level]
        icon.setAccessibleName(word)
        icon.setToolTip(word)
        text = QLabel(for_label(shown(words.engine_text(notice.text)), word=150))
        if times > 1:
            text.setText(self.tr("{text} ({times} times)").format(text=text.text(), times=words.number(times)))
        text.setTextFormat(Qt.TextFormat.PlainText)
        text.setWordWrap(True)
        text.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        text.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row.addWidget(icon, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(text, 1)
        if notice.offer is not None:
            row.addWidget(self._button(notice, *notice.offer), 0, Qt.AlignmentFlag.AlignTop)
        return line

    def _button(self, notice: Banner, text: str, does: Callable[[], object]) -> QToolButton:
        button = QToolButton()
        button.setObjectName("offer")
        button.setText(text)

        def press() -> None:
            self._notices = deque((entry for entry in self._notices if entry[0] != notice), maxlen=KEPT)
            self._show()
            does()

        button.clicked.connect(lambda _checked=False: press())
        return button
