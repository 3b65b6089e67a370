"""The state filter: one button a state, with its count."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QToolButton, QWidget

from gui import words
from gui.theme import Theme
from gui.widgets.flow import FlowLayout

ALWAYS = ("waiting", "running", "done")
"""States whose button is there even when no document is in them; the others come and go."""


class Chips(QWidget):
    """Buttons ``all 1,000``, ``waiting 120``, ... of which one is chosen. ``chosen`` tells the state, "" for all."""

    chosen = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        """Make the buttons with nothing counted."""
        super().__init__(parent)
        self._theme = theme
        self._counts: dict[str, int] = {}
        self._group = QButtonGroup(self)
        self._group.setExclusive(True)
        self._buttons: dict[str, QToolButton] = {}
        layout = FlowLayout(self, spacing=6)
        self.setAccessibleName(self.tr("Show documents by state"))
        for state in ("", *words.STATES):
            button = QToolButton()
            button.setCheckable(True)
            button.setProperty("look", "chip")
            button.setIconSize(QSize(16, 16))
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.clicked.connect(lambda _=False, state=state: self.chosen.emit(state))
            self._group.addButton(button)
            self._buttons[state] = button
            layout.addWidget(button)
        self._buttons[""].setChecked(True)
        self.set_counts({})
        theme.changed.connect(self._dress)
        self._dress()

    @property
    def state(self) -> str:
        """The chosen state, "" for all."""
        return next(state for state, button in self._buttons.items() if button.isChecked())

    def button(self, state: str) -> QToolButton:
        """Return the button of a state, "" for all."""
        return self._buttons[state]

    def set_counts(self, counts: dict[str, int]) -> None:
        """Show how many documents are in each state."""
        self._counts = dict(counts)
        for state, button in self._buttons.items():
            count = counts.get(state, 0) if state else sum(counts.get(s, 0) for s in words.STATES)
            word = words.engine_text(state) if state else self.tr("all")
            text = self.tr("{state} {count}").format(state=word, count=words.number(count))
            if text != button.text():
                button.setText(text)
                button.setAccessibleName(text)
            wanted = not state or state in ALWAYS or count > 0 or button.isChecked()
            if wanted == button.isHidden():
                button.setVisible(wanted)

    def _dress(self) -> None:
        self._buttons[""].setIcon(self._theme.icon("pile", "muted"))
        for state in words.STATES:
            self._buttons[state].setIcon(self._theme.state_icon(state))
