"""What came out, in a row: one button a label with how many documents have it, and a bar for its share."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QToolButton, QWidget

from gui import words
from gui.escape import shown
from gui.theme import Theme
from gui.widgets.flow import FlowLayout

MOST = 24
"""Labels that have a button; of a task that makes up its own there may be thousands."""

_LONGEST = 28
"""Characters of a label on its button; the tooltip has all of them."""

_BAR = 3.0
_INSET = 12.0


class LabelButton(QToolButton):
    """A label with its count; the bar below says how many that is, beside the most frequent one."""

    def __init__(self, theme: Theme) -> None:
        """Have no label yet."""
        super().__init__()
        self._theme = theme
        self.share = 0.0
        self.setCheckable(True)
        self.setProperty("look", "chip")
        self.setProperty("bars", "yes")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def paintEvent(self, arg__1: QPaintEvent) -> None:
        """Paint the button, and the bar on it."""
        super().paintEvent(arg__1)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        track = QRectF(_INSET, self.height() - _BAR - 5, self.width() - 2 * _INSET, _BAR)
        painter.setBrush(self._theme.colour("hover"))
        painter.drawRoundedRect(track, _BAR / 2, _BAR / 2)
        track.setWidth(max(_BAR, track.width() * self.share))
        painter.setBrush(self._theme.colour("accent"))
        painter.drawRoundedRect(track, _BAR / 2, _BAR / 2)
        painter.end()


class LabelBars(QWidget):
    """Buttons of which one may be chosen. ``chosen`` tells its label ("" for the unsure ones), None for none."""

    chosen = Signal(object)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        """Show nothing, and take no room, before there are labels."""
        super().__init__(parent)
        self._theme = theme
        self._layout = FlowLayout(self, spacing=6)
        self._buttons: dict[str, LabelButton] = {}
        self._more = QLabel(self)
        self._more.setProperty("look", "muted")
        self._more.hide()
        self._counts: dict[str, int] = {}
        self.label: str | None = None
        """The label that is chosen."""
        self.setAccessibleName(self.tr("Show documents by label"))
        self.hide()

    def button(self, label: str) -> LabelButton:
        """Return the button of a label, "" for the unsure ones."""
        return self._buttons[label]

    def set_counts(self, counts: dict[str, int]) -> None:
        """Show how many documents have each label, in the order given, the unsure ones last."""
        if counts == self._counts:
            return
        self._counts = dict(counts)
        wanted = sorted(counts, key=lambda label: -counts[label])[:MOST]
        if self.label is not None and self.label in counts and self.label not in wanted:
            wanted[-1] = self.label
        order = [label for label in counts if label in wanted and label] + [label for label in wanted if not label]
        if order != list(self._buttons):
            self._make(order)
        most = max(counts.values(), default=1)
        for label, button in self._buttons.items():
            word = shown(label) if label else self.tr("unsure")
            brief = word if len(word) <= _LONGEST else f"{word[: _LONGEST - 1]}…"
            button.setText(
                self.tr("{label} {count}").format(label=brief.replace("&", "&&"), count=words.number(counts[label]))
            )
            button.setAccessibleName(self.tr("{label} {count}").format(label=word, count=words.number(counts[label])))
            button.share = counts[label] / most
            button.update()
        left = len(counts) - len(order)
        self._more.setText(self.tr("and %Ln more labels", "", left))
        self._more.setVisible(left > 0)
        if self.label is not None and self.label not in self._buttons:
            self._choose(None)
        self.setVisible(bool(order))

    def _make(self, order: list[str]) -> None:
        while self._layout.takeAt(0) is not None:
            pass
        for label in [label for label in self._buttons if label not in order]:
            self._buttons.pop(label).deleteLater()
        kept, self._buttons = self._buttons, {}
        for label in order:
            button = kept.get(label)
            if button is None:
                button = LabelButton(self._theme)
                tip = self.tr("Show only these documents; once more shows all")
                button.setToolTip(tip)
                button.clicked.connect(lambda on=False, label=label: self._choose(label if on else None))
            self._buttons[label] = button
            self._layout.addWidget(button)
        self._layout.addWidget(self._more)

    def _choose(self, label: str | None) -> None:
        self.label = label
        for name, button in self._buttons.items():
            button.setChecked(name == label)
        self.chosen.emit(label)
