"""The exact prompt about the chosen document, and what the length policy will do to it."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from engine.api import Reply
from gui import words
from gui.escape import shown_text
from gui.panels.task import TaskPanel
from gui.previewer import Previewer
from gui.session import Session
from gui.widgets.labels import wrapped
from gui.widgets.viewer import Viewer

DELAY = 250
"""Milliseconds without a change after which the prompt is asked for again."""


class PromptView(QWidget):
    """Asks for the prompt while it can be seen; what comes late is ignored."""

    def __init__(self, session: Session, task: TaskPanel, previewer: Previewer, parent: QWidget | None = None) -> None:
        """Show prompts of the task in ``task`` about documents of ``session``."""
        super().__init__(parent)
        self._previewer = previewer
        self._document = -1
        self._asked = -1
        self.note = wrapped(look="muted")
        self.text = Viewer(self.tr("Exact prompt"))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.note)
        column.addWidget(self.text, 1)
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(DELAY)
        self._delay.timeout.connect(self.refresh)
        task.changed.connect(self._later)
        session.model_changed.connect(self._later)

    def show_document(self, document: int) -> None:
        """Show the prompt about a document; -1 for none."""
        self._document = document
        self._later()

    def showEvent(self, event: QShowEvent) -> None:
        """Ask when the tab comes forward."""
        super().showEvent(event)
        self.refresh()

    def _later(self) -> None:
        if self.isVisible():
            self._delay.start()

    def refresh(self) -> None:
        """Ask for the prompt, or say why there is none."""
        self._asked = -1
        if self._document < 0:
            return
        obstacle = self._previewer.obstacle(prompt=True)
        if obstacle:
            self._show(obstacle, "", problem=False)
        else:
            self._asked = self._previewer.preview(self._document, self._answer)

    def _answer(self, reply: Reply) -> None:
        if reply.request != self._asked:
            return
        self._asked = -1
        if not reply.ok:
            self._show(words.engine_text(reply.error), "", problem=True)
            return
        value = reply.value
        text = str(value["prompt"])
        if value["hidden"]:
            gap = self.tr("%Ln characters are not shown", "", value["hidden"])
            text = f"{text}\n\n[… {gap} …]\n\n{value['rest']}"
        self._show(self.sentence(value), text, problem=bool(value["reason"]))

    def _show(self, note: str, text: str, *, problem: bool) -> None:
        look = "problem" if problem else "muted"
        if self.note.property("look") != look:
            self.note.setProperty("look", look)
            self.note.style().polish(self.note)
        self.note.setText(note)
        text = shown_text(text)
        if text != self.text.toPlainText():
            self.text.setPlainText(text)

    def sentence(self, value: dict[str, Any]) -> str:
        """Return what a preview means: its size, what will become of a long document, and the chat template."""
        whole, room = words.number(value["whole"]), words.number(value["room"])
        parts, share = value["parts"], words.share(value["coverage"])
        if value["whole"] <= value["room"]:
            said = self.tr("{whole} tokens; {room} fit beside the answer.").format(whole=whole, room=room)
        else:
            said = self.tr("{whole} tokens, and only {room} fit beside the answer.").format(whole=whole, room=room)
            if not parts:
                said += " " + self.tr("The document will be refused; choose to split it or to keep a part.")
            elif value["policy"] == "split":
                said += " " + self.tr("It is asked about in %Ln parts; this is the first.", "", parts)
            elif value["policy"] == "head":
                said += " " + self.tr("Only its beginning is used: {share} of the text.").format(share=share)
            else:
                said += " " + self.tr("Only its end is used: {share} of the text.").format(share=share)
        if value["template"]:
            return said + " " + self.tr("The marks are the model's chat template.")
        return said + " " + self.tr("The model has no chat template, so this is all it reads.")
