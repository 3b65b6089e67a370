"""The end of the window: ask when something would be lost, then end the engine within two seconds."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QMessageBox, QPushButton, QWidget

from gui.session import Session


class Closing(QObject):
    """Decides about close events. ``begun`` comes when the window is to be put away, ``done`` when no engine is left."""

    begun = Signal()
    done = Signal()
    export = Signal()

    def __init__(self, session: Session, window: QWidget) -> None:
        """Close ``window``."""
        super().__init__(window)
        self._session, self._window = session, window
        self._agreed = False
        self.ended = False
        self.question: QMessageBox | None = None
        session.client.ended.connect(self._gone)

    def now(self) -> None:
        """Close without asking."""
        self._agreed = True
        self._window.close()

    def handle(self, event: QCloseEvent) -> None:
        """Answer a close event: ask first, hide at once, and let the event through when the engine is gone."""
        if self.ended:
            event.accept()
            return
        event.ignore()
        if not self._agreed and self._ask():
            return
        self._agreed = True
        self._window.hide()
        self.begun.emit()
        self._session.client.shutdown()

    def _gone(self) -> None:
        if not self.ended:
            self.ended = True
            self._window.close()
            self.done.emit()

    def _ask(self) -> bool:
        """Ask if something would be lost; returns whether there is something to ask."""
        jobs = self._session.jobs.values()
        busy = [job for job in jobs if job.busy or job.state.status == "paused" or job.state.adding]
        unsaved = [job for job in jobs if job.unsaved and not job.sample]
        if not busy and not unsaved:
            return False
        if self.question is not None:
            self.question.raise_()
            return True
        box = QMessageBox(self._window)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setWindowTitle(self.tr("Close Heddle?"))
        box.setIcon(QMessageBox.Icon.Question)
        if busy:
            box.setText(self.tr("A pile is still being worked on."))
            box.setInformativeText(self.tr("Stopping now ends it where it is. Results that are not exported are lost."))
            leave = box.addButton(self.tr("&Stop and close"), QMessageBox.ButtonRole.DestructiveRole)
        else:
            done = sum(job.count("done") for job in unsaved)
            box.setText(self.tr("%Ln documents have results that are not exported.", "", done))
            box.setInformativeText(self.tr("Closing now loses them."))
            leave = box.addButton(self.tr("C&lose without exporting"), QMessageBox.ButtonRole.DestructiveRole)
        export: QPushButton | None = None
        if unsaved:
            export = box.addButton(self.tr("&Export…"), QMessageBox.ButtonRole.ActionRole)
        cancel = box.addButton(self.tr("&Cancel"), QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(cancel)
        box.setEscapeButton(cancel)
        leave.clicked.connect(self.now)
        if export is not None:
            export.clicked.connect(self._export)
        box.finished.connect(self._answered)
        self.question = box
        box.open()
        return True

    def _export(self) -> None:
        unsaved = next((job for job in self._session.jobs.values() if job.unsaved and not job.sample), None)
        if unsaved is not None:
            self._session.select(unsaved.id)
            self.export.emit()

    def _answered(self) -> None:
        self.question = None


def question(
    window: QWidget, title: str, text: str, consequence: str, yes: str, then: Callable[[], object]
) -> QMessageBox:
    """Ask, with Cancel as the default, and call ``then`` after a yes; returns the open question."""
    box = QMessageBox(window)
    box.setObjectName("question")
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle(title)
    box.setText(text)
    box.setInformativeText(consequence)
    agree = box.addButton(yes, QMessageBox.ButtonRole.AcceptRole)
    cancel = box.addButton(window.tr("&Cancel"), QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(cancel)
    box.setEscapeButton(cancel)
    agree.clicked.connect(lambda _checked=False: then())
    box.open()
    return box
