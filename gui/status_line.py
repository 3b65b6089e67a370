"""The status bar: how far it is, what comes next, and how the engine is."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QLabel, QProgressBar, QStatusBar, QWidget

from gui.engine_client import EngineState
from gui.theme import Theme
from gui.widgets.labels import ElidedLabel

_LOOK = {
    EngineState.STARTING: ("loading", "accent"),
    EngineState.READY: ("ready", "done"),
    EngineState.QUIET: ("warning", "warning"),
    EngineState.RESTARTING: ("refresh", "warning"),
    EngineState.STOPPED: ("stop", "muted"),
    EngineState.FAILED: ("error", "error"),
}


class StatusLine(QStatusBar):
    """Text at most twice a second; the engine's state at once."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        """Start with nothing to say."""
        super().__init__(parent)
        self._theme = theme
        self._state = EngineState.STOPPED
        self.setSizeGripEnabled(False)
        self.setContentsMargins(8, 0, 8, 0)
        self.text = ElidedLabel()
        self.text.setAlignment(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft)
        self.text.setAccessibleName(self.tr("Progress of the pile"))
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedSize(160, 6)
        self.bar.setAccessibleName(self.tr("Progress of the pile"))
        self.bar.hide()
        self._icon = QLabel()
        self._word = QLabel()
        self.addWidget(self.text, 1)
        self.addPermanentWidget(self.bar)
        self.addPermanentWidget(self._icon)
        self.addPermanentWidget(self._word)
        theme.changed.connect(self._dress)
        self._dress()

    def show_progress(self, sentence: str, share: float, *, busy: bool) -> None:
        """Show a sentence, and a bar while something runs."""
        if sentence != self.text.text():
            self.text.setText(sentence)
        self.bar.setValue(round(share * 1000))
        if self.bar.isHidden() == busy:
            self.bar.setVisible(busy)

    def show_engine(self, state: str) -> None:
        """Show the state of the engine process."""
        self._state = EngineState(state)
        self._dress()

    def _dress(self) -> None:
        words = {
            EngineState.STARTING: self.tr("Engine is starting"),
            EngineState.READY: self.tr("Engine is ready"),
            EngineState.QUIET: self.tr("Engine is not answering"),
            EngineState.RESTARTING: self.tr("Engine is restarting"),
            EngineState.STOPPED: self.tr("Engine is stopped"),
            EngineState.FAILED: self.tr("Engine has given up"),
        }
        icon, role = _LOOK[self._state]
        self._icon.setPixmap(self._theme.icon(icon, role).pixmap(QSize(16, 16), self.devicePixelRatio()))
        self._word.setText(words[self._state])
