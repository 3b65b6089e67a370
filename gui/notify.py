"""One notification when a pile is done and nobody is looking."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QApplication, QSystemTrayIcon, QWidget

from gui import words
from gui.job import Job


class Notifier(QObject):
    """Tells through the system's notifications where there are any, else by asking for attention."""

    def __init__(self, window: QWidget) -> None:
        """Speak for ``window``."""
        super().__init__(window)
        self._window = window
        self._tray: QSystemTrayIcon | None = None
        self.told: list[str] = []

    def finished(self, job: Job) -> None:
        """Tell that a pile is done, unless the window is in front."""
        text = self.tr("{name} is done: %Ln documents", "", job.count("done")).format(name=job.name)
        if job.count("failed"):
            text += ", " + self.tr("%Ln failed", "", job.count("failed"))
        self.told.append(text)
        if self._window.isActiveWindow():
            return
        if QSystemTrayIcon.isSystemTrayAvailable() and QSystemTrayIcon.supportsMessages():
            if self._tray is None:
                self._tray = QSystemTrayIcon(self._window.windowIcon(), self)
                self._tray.messageClicked.connect(self._raise)
            self._tray.show()
            self._tray.showMessage(words.engine_text("Heddle"), text, self._window.windowIcon(), 10_000)
        else:
            QApplication.alert(self._window, 0)

    def close(self) -> None:
        """Take the icon out of the tray."""
        if self._tray is not None:
            self._tray.hide()

    def _raise(self) -> None:
        self._window.showNormal() if self._window.isMinimized() else self._window.show()
        self._window.raise_()
        self._window.activateWindow()
        self.close()
