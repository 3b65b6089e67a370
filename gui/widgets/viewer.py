"""A viewer of plain text that nobody edits."""

from __future__ import annotations

from PySide6.QtWidgets import QPlainTextEdit


def viewer(name: str) -> QPlainTextEdit:
    """Return a read-only text field that Tab leaves and on which nothing is dropped; ``name`` is for screen readers."""
    made = QPlainTextEdit()
    made.setReadOnly(True)
    made.setTabChangesFocus(True)
    made.setAcceptDrops(False)  # files are for the window
    made.viewport().setAcceptDrops(False)
    made.setAccessibleName(name)
    return made


def grow(field: QPlainTextEdit, text: str) -> None:
    """Show ``text``, which is mostly what is shown already and more; a reader at the end stays there."""
    before = field.toPlainText()
    if text == before:
        return
    bar = field.verticalScrollBar()
    at_end, place = bar.value() >= bar.maximum(), bar.value()
    if before and text.startswith(before):
        cursor = field.textCursor()
        cursor.movePosition(cursor.MoveOperation.End)
        cursor.insertText(text[len(before) :])
    else:
        field.setPlainText(text)
    bar.setValue(bar.maximum() if at_end else place)
