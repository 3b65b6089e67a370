"""The mouse wheel over a form: it scrolls, and changes a value only in the field that has the focus."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import QAbstractSpinBox, QComboBox, QWidget


class _Deaf(QObject):
    """Lets the wheel of a field without the focus go on to what is around it."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Return whether the field must not see the event."""
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return False


def scroll_past(form: QWidget) -> None:
    """Let the wheel scroll past the number fields and choices in ``form`` instead of changing them."""
    deaf = _Deaf(form)
    for field in (*form.findChildren(QAbstractSpinBox), *form.findChildren(QComboBox)):
        if field.focusPolicy() == Qt.FocusPolicy.WheelFocus:
            field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        field.installEventFilter(deaf)
