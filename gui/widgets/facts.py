"""Facts as two columns: what, and its value."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

from gui.escape import shown
from gui.widgets.labels import wrapped


class FactList(QWidget):
    """Lines of (what, value); labels are made once and reused, so that an update moves nothing."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Start empty."""
        super().__init__(parent)
        self._labels: list[tuple[QLabel, QLabel]] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(16)
        self._grid.setVerticalSpacing(3)
        self._grid.setColumnStretch(1, 1)

    @property
    def lines(self) -> list[tuple[str, str]]:
        """What is shown."""
        return [(name.text(), value.text()) for name, value in self._labels if not name.isHidden()]

    def set_lines(self, lines: list[tuple[str, str]]) -> None:
        """Show ``lines`` and nothing else."""
        while len(self._labels) < len(lines):
            self._labels.append(self._make(len(self._labels)))
        for at, labels in enumerate(self._labels):
            for column, label in enumerate(labels):
                if at < len(lines):
                    text = shown(lines[at][column])
                    if text != label.text():
                        label.setText(text)
                if label.isHidden() != (at >= len(lines)):
                    label.setVisible(at < len(lines))
        self.setVisible(bool(lines))

    def _make(self, row: int) -> tuple[QLabel, QLabel]:
        name, value = QLabel(), wrapped()
        name.setTextFormat(Qt.TextFormat.PlainText)
        name.setProperty("look", "muted")
        value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        value.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._grid.addWidget(name, row, 0, Qt.AlignmentFlag.AlignTop)
        self._grid.addWidget(value, row, 1, Qt.AlignmentFlag.AlignTop)
        return name, value
