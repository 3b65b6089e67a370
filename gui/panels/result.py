"""The result of the chosen document, beside its text."""

from __future__ import annotations

import json
from typing import Any

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QFontDatabase
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSplitter,
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from engine.api import DocumentRow, Reply, restore
from gui import words
from gui.escape import shown, shown_text
from gui.panels.prompt import PromptView
from gui.panels.result_view import ResultView
from gui.panels.task import TaskPanel
from gui.panels.trial import TrialView
from gui.pile import Change
from gui.previewer import Previewer
from gui.session import Session
from gui.theme import Theme
from gui.widgets.labels import ElidedLabel, wrapped
from gui.widgets.viewer import Viewer

GROWTH = 500
"""Milliseconds between two looks at an answer in the making (law 1: text at 1-2 Hz)."""

DELAY = 150
"""Milliseconds that the cursor has to rest on a document before its text is asked for."""


_MARK = 70
"""Opacity of the ground of what was found, of 255."""

_MARKS = 200
"""Places that are marked at most."""


class ResultPanel(QWidget):
    """Asks the engine for one document at a time; answers that come late are ignored. ``retry`` tells its id."""

    retry = Signal(int)

    def __init__(
        self,
        session: Session,
        theme: Theme,
        task: TaskPanel,
        previewer: Previewer,
        parent: QWidget | None = None,
    ) -> None:
        """Show documents of the current pile of ``session``, and what ``task`` would ask about them."""
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._document = -1
        self._asked = -1
        self._row: DocumentRow | None = None
        self._places: list[tuple[int, int]] = []
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(DELAY)
        self._delay.timeout.connect(self._ask)

        self._icon = QLabel()
        self._name = ElidedLabel(Qt.TextElideMode.ElideMiddle)
        self._name.setProperty("look", "strong")
        self._about = QLabel()
        self._about.setTextFormat(Qt.TextFormat.PlainText)
        self._about.setProperty("look", "muted")
        self._retry = QPushButton(self.tr("Retr&y"))
        self._retry.setToolTip(self.tr("Run this document again"))
        self._retry.clicked.connect(lambda: self.retry.emit(self._document))
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self._icon)
        head.addWidget(self._name, 1)
        head.addWidget(self._about)
        head.addWidget(self._retry)

        self.text = Viewer(self.tr("Text of the document"))
        self._cut = wrapped(look="muted")
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.text, 1)
        column.addWidget(self._cut)

        self.view = ResultView(theme)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(self.view)
        self.raw = Viewer(self.tr("Result as JSON"))
        self.raw.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setDrawBase(False)
        self.tabs.addTab(scroll, self.tr("Result"))
        self.tabs.addTab(self.raw, self.tr("JSON"))
        self.prompt = PromptView(session, task, previewer)
        self.trial = TrialView(previewer, theme)
        self.tabs.addTab(self.prompt, self.tr("Prompt"))
        self.tabs.addTab(self.trial, self.tr("Trial"))
        for content in (scroll, self.raw, self.prompt, self.trial):
            content.setMinimumHeight(0)  # what is low scrolls; the window must fit on a small screen
            content.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.setHandleWidth(8)
        self.splitter.addWidget(left)
        self.splitter.addWidget(self.tabs)
        self.splitter.setSizes([500, 500])

        page = QWidget()
        rows = QVBoxLayout(page)
        rows.setContentsMargins(8, 2, 8, 8)
        rows.setSpacing(6)
        rows.addLayout(head)
        rows.addWidget(self.splitter, 1)
        self._hint = QLabel(self.tr("Choose a document to see its text and its result."))
        self._hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._hint.setProperty("look", "muted")
        self._pages = QStackedWidget()
        self._pages.addWidget(self._hint)
        self._pages.addWidget(page)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._pages)
        session.rows_changed.connect(self._rows_changed)
        session.current_changed.connect(lambda: self.show_document(-1))
        theme.changed.connect(self._dress)

    @property
    def document(self) -> int:
        """The id of the document that is shown, -1 for none."""
        return self._document

    def show_trial(self) -> None:
        """Bring the trial forward and begin one on the document that is shown."""
        self.tabs.setCurrentWidget(self.trial)
        self.trial.start()

    def show_prompt(self) -> None:
        """Bring the prompt about the document that is shown forward."""
        self.tabs.setCurrentWidget(self.prompt)

    def show_document(self, document: int) -> None:
        """Show a document of the current pile; -1 shows none."""
        if document == self._document:
            return
        self._document = document
        self._asked = -1
        self._row = None
        self.prompt.show_document(document)
        self.trial.show_document(document)
        self._pages.setCurrentIndex(0 if document < 0 else 1)
        if document < 0:
            self._delay.stop()
            return
        job = self._session.job
        row = job.pile.records.get(document) if job is not None else None
        if row is not None:
            self._show_row(row)
            self._show_result(None, "")
            self._places = []
            self.text.clear()
            self._cut.hide()
        self._delay.start()

    def _rows_changed(self, job: str, change: Change) -> None:
        """Ask again when the document that is shown has changed its state."""
        if self._document < 0 or job != self._session.current:
            return
        if not (change.rebuilt or self._document in change.updated):
            return
        row = self._session.jobs[job].pile.records.get(self._document)
        if row is None:
            self.show_document(-1)
        elif self._row is None or row.state != self._row.state:
            self._show_row(row)
            self._delay.setInterval(DELAY)
            self._delay.start()
        elif row.state == "running" and row.summary != self._row.summary and not self._delay.isActive():
            self._row = row
            self._delay.setInterval(GROWTH)  # its answer grows
            self._delay.start()

    def _ask(self) -> None:
        if self._document >= 0 and self._session.job is not None:
            self._asked = self._session.commands.inspect(self._document, self._answer)

    def _answer(self, reply: Reply) -> None:
        if reply.request != self._asked:
            return
        self._asked = -1
        if not reply.ok:
            self._show_result(None, reply.error)
            return
        value = reply.value
        row = value.get("row")
        # Rows cross the border as lists of fields.
        row = (
            DocumentRow.of(row)
            if isinstance(row, list)
            else restore(DocumentRow, row)
            if isinstance(row, dict)
            else None
        )
        if row is not None:
            self._show_row(row)
        text = shown_text(str(value.get("text", "")))
        if text != self.text.toPlainText():
            self.text.setPlainText(text)
        problem = words.engine_text(str(value.get("text_error", "")))
        cut = self.tr("Only the beginning of the text is shown.") if value.get("truncated") else ""
        self._cut.setText(shown(problem) or cut)
        self._cut.setVisible(bool(problem or cut))
        self._show_result(value.get("result"), "", value.get("columns"))
        self._places = _places(str(value.get("text", "")), value.get("result"))
        self._mark()

    def _mark(self) -> None:
        """Show where in the text what was found stands."""
        colour = QColor(self._theme.colour("accent"))
        colour.setAlpha(_MARK)
        self.text.mark(self._places, colour)

    def _show_row(self, row: DocumentRow) -> None:
        self._row = row
        self._dress()
        self._name.setText(shown(row.name))
        self._name.setToolTip("")
        facts = [words.engine_text(row.state), words.data_size(row.size)]
        if row.tokens >= 0:
            facts.append(self.tr("%Ln tokens", "", row.tokens))
        if row.encoding:
            facts.append(row.encoding)
        self._about.setText("  ·  ".join(facts))
        self._retry.setVisible(row.state in ("failed", "cancelled", "quarantined"))

    def _show_result(self, result: dict[str, Any] | None, error: str, columns: dict[str, str] | None = None) -> None:
        self.view.show_result(self._row, result, error, columns)
        text = json.dumps(result, ensure_ascii=False, indent=2) if result is not None else ""
        self.raw.setPlainText(shown_text(text))

    def _dress(self) -> None:
        if self._row is not None:
            icon = self._theme.state_icon(self._row.state)
            self._icon.setPixmap(icon.pixmap(QSize(16, 16), self.devicePixelRatio()))
        self._mark()


def _places(text: str, result: Any) -> list[tuple[int, int]]:
    """Return where in the text that is shown the spans of a result stand."""
    told = result if isinstance(result, dict) else {}
    spans = told.get("spans") or told.get("sentences")
    found: list[tuple[int, int]] = []
    for span in spans[:_MARKS] if isinstance(spans, list) else ():
        match span:
            case [str(), int(start), int(stop)] | {"start": int(start), "end": int(stop)} if (
                0 <= start < stop <= len(text)
            ):
                found.append((len(shown_text(text[:start])), len(shown_text(text[:stop]))))
            case _:
                pass
    return found
