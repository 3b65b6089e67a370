"""A result that people can read: scores as bars, facts as lines, failures with what to do."""

from __future__ import annotations

import json
from typing import Any

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from engine.api import DocumentRow
from engine.api.fields import FIELDS
from gui import words
from gui.escape import shown, shown_text
from gui.theme import Theme
from gui.widgets.facts import FactList
from gui.widgets.labels import wrapped
from gui.widgets.score_bars import ScoreBars
from gui.widgets.viewer import Viewer

_FIRST = 8
"""How many values of a vector are shown; all of them are in the export."""

_CELL = 200
"""Characters that are shown of a table's other columns."""


class ResultView(QWidget):
    """Shows one result. Classify gets bars, embed its vector's facts, other tasks their keys and values."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        """Show nothing yet."""
        super().__init__(parent)
        self._theme = theme
        self._icon = QLabel()
        self._title = wrapped()
        font = self._title.font()
        font.setPointSizeF(font.pointSizeF() * 1.25)
        font.setBold(True)
        self._title.setFont(font)
        self._reason = wrapped(look="muted")
        self._reason.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.answer = Viewer(self.tr("Answer"))
        self.answer.setMinimumHeight(72)
        self.bars = ScoreBars(theme)
        self.facts = FactList()
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        head.addWidget(self._title, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(8)
        column.addLayout(head)
        column.addWidget(self._reason)
        column.addWidget(self.answer, 3)
        column.addWidget(self.bars)
        column.addWidget(self.facts)
        column.addStretch(1)

    def show_result(
        self, row: DocumentRow | None, result: dict[str, Any] | None, error: str, columns: dict[str, str] | None = None
    ) -> None:
        """Show a document's row and result; ``error`` says why there is no answer about it."""
        scores = result.get("scores") if result is not None else None
        self.bars.setVisible(isinstance(scores, dict) and bool(scores))
        if isinstance(scores, dict):
            self.bars.set_scores({str(k): v for k, v in scores.items() if isinstance(v, int | float)})
        text = result.get("text") if result is not None else None
        self.answer.setVisible(isinstance(text, str))
        if isinstance(text, str):
            self.answer.grow(shown_text(words.answer(result or {})))
        icon, role, title, reason = self._head(row, result, error)
        self._icon.setVisible(bool(icon))
        if icon:
            self._icon.setPixmap(self._theme.icon(icon, role).pixmap(QSize(20, 20), self.devicePixelRatio()))
        self._title.setText(shown(title))
        self._title.setVisible(bool(title))
        self._reason.setText(shown(words.sentence(reason)))
        self._reason.setVisible(bool(reason))
        beside = {**((result or {}).get("columns") or {}), **(columns or {})}
        kept = [(name, _short(cell)) for name, cell in beside.items() if cell]
        self.facts.set_lines([*kept, *self._lines(row, result)])

    def _head(self, row: DocumentRow | None, result: dict[str, Any] | None, error: str) -> tuple[str, str, str, str]:
        """Return icon, colour role, title and the sentence below it."""
        if error:
            return "warning", "warning", self.tr("There is no answer"), words.engine_text(error)
        state = row.state if row is not None else ""
        reason = words.engine_text(row.reason) if row is not None else ""
        if result is None:
            title = {
                "waiting": self.tr("Waiting for its turn"),
                "running": self.tr("A worker is working on it"),
                "failed": self.tr("This document failed"),
                "skipped": self.tr("This document was skipped"),
                "cancelled": self.tr("This document was cancelled"),
                "quarantined": self.tr("The engine ended twice while it had this document"),
                "offline": self.tr("Its folder is not there now"),
            }.get(state, "")
            if state == "failed":
                reason = self.tr("{reason} When the cause is gone, press Retry.").format(reason=_sentence(reason))
            elif state == "quarantined":
                reason = self.tr("The rest goes on without it. Retry runs it once more.")
            elif state == "offline":
                reason = self.tr("It goes on by itself when the folder is back.")
            return state if title else "", state, title, reason
        if isinstance(result.get("text"), str):
            if state == "running":
                return "running", "running", self.tr("A worker is writing"), ""
            return ("warning", "warning", self.tr("Answer"), reason) if reason else ("", "", "", "")
        if isinstance(result.get(FIELDS), dict):
            look = "warning" if reason else "done"
            return look, look, self.tr("What was found"), reason
        label = result.get("label")
        if isinstance(label, str):
            if result.get("unsure"):
                return "warning", "warning", self.tr("Unsure, closest to {label}").format(label=label), reason
            return "done", "done", label, reason
        return ("warning" if reason else "done"), ("warning" if reason else "done"), row.summary if row else "", reason

    def _field(self, value: Any) -> str:
        """Return an extracted value as a line; one that the text does not say is not the same as an empty one."""
        if value in (None, []):
            return self.tr("(not said)")
        return ", ".join(map(_fact, value)) if isinstance(value, list) else _fact(value)

    def _lines(self, row: DocumentRow | None, result: dict[str, Any] | None) -> list[tuple[str, str]]:
        lines: list[tuple[str, str]] = []
        known = {
            "margin": self.tr("Lead over the second"),
            "score": self.tr("Score"),
            "truth": self.tr("Right label"),
            "right": self.tr("Label is right"),
            "dimension": self.tr("Dimensions"),
            "norm": self.tr("Length of the vector"),
            "windows": self.tr("Windows of text"),
            "vector": self.tr("First values"),
            "finish_reason": self.tr("Answer"),
            "unfinished": self.tr("Not got to"),
            "not_in_text": self.tr("Not word for word in the text"),
            "asked_freely": self.tr("Asked freely, the model names"),
            "valid": self.tr("Form is whole"),
            "tokens_in": self.tr("Tokens read"),
            "tokens_out": self.tr("Tokens written"),
            "tokens_per_s": self.tr("Tokens/s"),
            "ttft": self.tr("First token after"),
            "parts": self.tr("Prompts"),
        }
        for key, value in (result or {}).items():
            if key in ("scores", "label", "unsure", "text", "thought", "columns", "notice", "spans", "quotes") or (
                key == "finish_reason" and not value
            ):
                continue
            if key == FIELDS and isinstance(value, dict):
                lines.extend((name, self._field(one)) for name, one in value.items())
                continue
            if key in ("unfinished", "not_in_text") and not value:
                continue
            if key == "finish_reason":
                lines.append((known[key], words.finish(str(value))))
                continue
            if key == "ttft" and isinstance(value, int | float):
                lines.append((known[key], self.tr("{n} s").format(n=words.seconds(float(value)))))
                continue
            lines.append((known.get(key, words.engine_text(key)), _value(value)))
        if row is not None and row.state == "done" and row.tokens >= 0:
            if row.coverage < 1:
                lines.append((self.tr("Text that was used"), words.share(row.coverage)))
            lines.append((self.tr("Unknown to the model"), words.percent(row.unknown_share)))
            if row.seconds > 0:
                lines.append((self.tr("Time"), self.tr("{n} s").format(n=words.seconds(row.seconds))))
            if row.worker >= 0:
                lines.append((self.tr("Worker"), words.number(row.worker)))
        if row is not None and row.confidence < 1:
            text = self.tr("{encoding}, detected with {share} confidence")
            lines.append((self.tr("Encoding"), text.format(encoding=row.encoding, share=words.percent(row.confidence))))
        return lines


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text or text[-1] in ".!?" else f"{text}."


def _short(cell: str) -> str:
    """Return the beginning of a cell on one line."""
    line = " ".join(cell[: 2 * _CELL].split())
    return line if len(line) <= _CELL else f"{line[:_CELL]}…"


def _fact(value: Any) -> str:
    """Return an extracted value as it was found: nothing rounded, nothing left out."""
    if isinstance(value, bool) or value is None:
        return words.engine_text("yes" if value else "no")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _value(value: Any) -> str:
    """Return a value of a result as a line: numbers in the user's locale, lists by their first items."""
    if isinstance(value, bool):
        return words.engine_text("yes" if value else "no")
    if isinstance(value, int):
        return words.number(value)
    if isinstance(value, float):
        return words.decimals(value, 3)
    if isinstance(value, list):
        first = "  ".join(_value(item) for item in value[:_FIRST])
        return f"{first} …" if len(value) > _FIRST else first
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_value(item)}" for key, item in value.items())
    return str(value)
