"""A viewer of plain text that nobody edits; its cost does not depend on how long the lines are."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from PySide6.QtCore import QMimeData
from PySide6.QtGui import QColor, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit, QWidget

from gui.widgets.long_lines import pieces

_LEAST = 40
"""Logical pixels that a viewer is high at least: two lines."""


class Viewer(QPlainTextEdit):
    """A read-only text field that Tab leaves and on which nothing is dropped.

    Long lines are shown in pieces; ``toPlainText`` and the clipboard have the text as it is.
    """

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        """Show nothing yet; ``name`` is for screen readers."""
        super().__init__(parent)
        self._text = ""
        self._soft: set[int] = set()
        self.setReadOnly(True)
        self.setUndoRedoEnabled(False)
        self.setTabChangesFocus(True)
        self.setAcceptDrops(False)  # files are for the window
        self.viewport().setAcceptDrops(False)
        self.setAccessibleName(name)
        self.setMinimumHeight(_LEAST)

    def setPlainText(self, text: str) -> None:
        """Show ``text``."""
        self._text = text
        lines, self._soft = pieces(text)
        super().setPlainText("\n".join(lines))

    def toPlainText(self) -> str:
        """Return the text that was set, without the breaks that are only for show."""
        return self._text

    def clear(self) -> None:
        """Show nothing."""
        self.setPlainText("")

    def mark(self, spans: Iterable[tuple[int, int]], colour: QColor) -> None:
        """Give characters of the text (start, stop) a background; those that were marked before lose theirs."""
        starts, place = [0], 0
        document = self.document()
        lines = pieces(self._text)[0]
        for number, line in enumerate(lines):
            place += len(line) + (0 if number in self._soft else 1)
            starts.append(place)
        look = QTextCharFormat()
        look.setBackground(colour)

        def position(index: int) -> int:
            number = min(bisect_right(starts, index) - 1, len(lines) - 1)
            before = lines[number][: index - starts[number]]
            return document.findBlockByNumber(number).position() + len(before.encode("utf-16-le")) // 2

        marked: list[QTextEdit.ExtraSelection] = []
        for start, stop in spans:
            if not 0 <= start < stop <= len(self._text):
                continue
            one = QTextEdit.ExtraSelection()
            cursor = QTextCursor(document)
            cursor.setPosition(position(start))
            cursor.setPosition(position(stop), QTextCursor.MoveMode.KeepAnchor)
            one.cursor, one.format = cursor, look  # pyright: ignore[reportAttributeAccessIssue] - Qt's own fields
            marked.append(one)
        self.setExtraSelections(marked)

    def marked(self) -> list[str]:
        """Return the texts that are marked, as they are shown."""
        return [one.cursor.selectedText().replace("\u2029", "\n") for one in self.extraSelections()]  # pyright: ignore[reportAttributeAccessIssue]

    def grow(self, text: str) -> None:
        """Show ``text``, which is mostly what is shown already and more; a reader at the end stays there."""
        before = self._text
        if text == before:
            return
        bar = self.verticalScrollBar()
        at_end, place = bar.value() >= bar.maximum(), bar.value()
        last = self.document().lastBlock().text()
        if before and text.startswith(before) and before.endswith(last):
            # Only the last line can be broken elsewhere than before.
            lines, soft = pieces(text[len(before) - len(last) :])
            first = self.document().blockCount() - 1
            self._text = text
            self._soft |= {first + number for number in soft}
            cursor = self.textCursor()
            cursor.movePosition(cursor.MoveOperation.End)
            if not lines[0].startswith(last):
                cursor.movePosition(cursor.MoveOperation.StartOfBlock, cursor.MoveMode.KeepAnchor)
                last = ""
            cursor.insertText("\n".join(lines)[len(last) :])
        else:
            self.setPlainText(text)
        bar.setValue(bar.maximum() if at_end else place)

    def createMimeDataFromSelection(self) -> QMimeData:
        """Return the selected text without the breaks that are only for show."""
        cursor = self.textCursor()
        number = self.document().findBlock(cursor.selectionStart()).blockNumber()
        parts: list[str] = []
        for line in cursor.selectedText().split("\u2029"):
            parts += [line, "" if number in self._soft else "\n"]
            number += 1
        # Qt's own object, emptied: the clipboard keeps what it is given until the process exits, and the destructor of
        # an object that was made in Python calls the interpreter, which is gone by then.
        data = super().createMimeDataFromSelection()
        data.text()  # it fills itself when first asked, and would do so over what is put in here
        data.clear()
        data.setText("".join(parts[:-1]).replace("\u2028", "\n"))
        return data
