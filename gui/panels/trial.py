"""The trial: the chosen task on the chosen document alone, with its text growing."""

from __future__ import annotations

import time

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from gui import words
from gui.escape import shown_text
from gui.previewer import Previewer
from gui.theme import Theme
from gui.widgets.labels import wrapped
from gui.widgets.viewer import Viewer

PACE = 0.5
"""Seconds between two changes of the growing text (law 1: text at 1-2 Hz)."""


class TrialView(QWidget):
    """Starts and stops a trial, and shows what it writes."""

    def __init__(self, previewer: Previewer, theme: Theme, parent: QWidget | None = None) -> None:
        """Show the trial of ``previewer``."""
        super().__init__(parent)
        self._previewer, self._theme = previewer, theme
        self._document = -1
        self._shown = 0.0
        self._state = ""
        self.button = QPushButton(self.tr("Try &on this document"))
        self.button.setToolTip(self.tr("Run the task on this document alone; its row stays as it is"))
        self.button.clicked.connect(self.start)
        self.stop = QPushButton(self.tr("Sto&p trial"))
        self.stop.clicked.connect(previewer.stop_trial)
        self._icon = QLabel()
        self.note = wrapped(look="muted")
        self.text = Viewer(self.tr("Answer of the trial"))
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self.button)
        head.addWidget(self.stop)
        head.addWidget(self._icon)
        head.addWidget(self.note, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.setSpacing(4)
        column.addLayout(head)
        column.addWidget(self.text, 1)
        previewer.trial_changed.connect(self._changed)
        theme.changed.connect(self.apply)
        self.apply()

    def show_document(self, document: int) -> None:
        """Offer a trial on a document; -1 for none."""
        if document != self._document:
            self._document = document
            self.text.clear()
            self.apply()

    def start(self) -> None:
        """Try the task on the document that is shown, if it can be."""
        if self._document >= 0:
            obstacle = self._previewer.obstacle(prompt=False)
            if obstacle:
                self._say("warning", "warning", obstacle)
                return
            self.text.clear()
            self._previewer.try_on(self._document)

    def _changed(self) -> None:
        # The end of a trial and each of its states are shown at once, its growth twice a second.
        trial = self._previewer.trial
        state = trial.state if trial is not None else ""
        if trial is None or state != self._state or time.monotonic() - self._shown >= PACE:
            self._state = state
            self.apply()

    def apply(self) -> None:
        """Show how the trial is."""
        self._shown = time.monotonic()
        previewer = self._previewer
        trying = previewer.trying >= 0 and previewer.trying == self._document
        self.button.setEnabled(self._document >= 0 and previewer.trying < 0)
        self.stop.setVisible(previewer.trying >= 0)
        if trying:
            trial = previewer.trial
            waits = trial is None or trial.state == "waiting"
            if waits:
                self._say("waiting", "waiting", self.tr("Waiting for a worker"))
            else:
                self._say("running", "running", self.tr("Writing"))
            if trial is not None and trial.text:
                self.text.grow(shown_text(trial.text))
            return
        if previewer.tried != self._document or self._document < 0:
            self._say("", "", self.tr("See what the task makes of this document before the whole pile is run."))
            return
        outcome = previewer.outcome
        result = outcome.get("result") or {}
        if "error" in outcome:
            self._say("warning", "warning", words.engine_text(str(outcome["error"])))
        elif outcome.get("state") == "done":
            self.text.grow(shown_text(words.answer(result) or str(outcome.get("summary", ""))))
            self._say("done", "done", self.facts(result, str(outcome.get("reason", ""))))
        else:
            state = str(outcome.get("state", "failed"))
            reason = words.engine_text(str(outcome.get("reason", "")))
            said = words.engine_text(state)
            self._say(state, state, self.tr("{state}: {why}").format(state=said, why=reason) if reason else said)

    def facts(self, result: dict[str, object], reason: str) -> str:
        """Return the figures of a trial that is done, in a line."""
        said = [words.finish(str(result.get("finish_reason", "")))]
        tokens, rate, first = result.get("tokens_out"), result.get("tokens_per_s"), result.get("ttft")
        if isinstance(tokens, int):
            said.append(self.tr("%Ln tokens", "", tokens))
        if isinstance(rate, int | float) and rate > 0:
            said.append(self.tr("{rate} tokens/s").format(rate=words.rate(float(rate))))
        if isinstance(first, int | float) and first > 0:
            said.append(self.tr("first after {time} s").format(time=words.seconds(float(first))))
        if reason:
            said.append(words.engine_text(reason))
        return "  ·  ".join(part for part in said if part)

    def _say(self, icon: str, role: str, text: str) -> None:
        self._icon.setVisible(bool(icon))
        if icon:
            self._icon.setPixmap(self._theme.icon(icon, role).pixmap(QSize(16, 16), self.devicePixelRatio()))
        self.note.setText(text)
