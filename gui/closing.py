"""The end of the window: ask while something is under way, then end the engine within two seconds."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QCheckBox, QMessageBox, QWidget

from gui.session import Session


class Closing(QObject):
    """Decides about close events. ``begun`` comes when the window is to be put away, ``done`` when no engine is left."""

    begun = Signal()
    done = Signal()

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
        """Ask while something is under way; returns whether there is something to ask. Nothing is lost either way."""
        jobs = self._session.jobs.values()
        adding = any(job.state.adding for job in jobs)
        if not adding and not any(job.at_work for job in jobs):
            return False
        if self.question is not None:
            self.question.raise_()
            return True
        box = QMessageBox(self._window)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setWindowTitle(self.tr("Close Heddle?"))
        box.setIcon(QMessageBox.Icon.Question)
        if adding:
            box.setText(self.tr("Files are still being added."))
            box.setInformativeText(self.tr("Those that are not on the pile yet would have to be added again."))
        else:
            box.setText(self.tr("A pile is still being worked on."))
            box.setInformativeText(self.tr("It stops now and goes on by itself at the next start. Nothing is lost."))
        leave = box.addButton(self.tr("&Stop and close"), QMessageBox.ButtonRole.AcceptRole)
        cancel = box.addButton(self.tr("&Cancel"), QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(cancel)
        box.setEscapeButton(cancel)
        leave.clicked.connect(self.now)
        box.finished.connect(self._answered)
        self.question = box
        box.open()
        return True

    def _answered(self) -> None:
        self.question = None


def question(
    window: QWidget,
    title: str,
    text: str,
    consequence: str,
    yes: str,
    then: Callable[[], object],
    option: QCheckBox | None = None,
) -> QMessageBox:
    """Ask, with Cancel as the default and an ``option`` below the text, and call ``then`` after a yes.

    Returns the open question. It is finished before it opens: one that changes its size then loses its place.
    """
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
    if option is not None:
        box.setCheckBox(option)
    agree.clicked.connect(lambda _checked=False: then())
    box.open()
    return box
