"""Scores as bars: the best first, each with its label and its number."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui import words
from gui.escape import shown
from gui.theme import Theme

_ROW = 22
_BAR = 8.0
_GAP = 12


class ScoreBars(QWidget):
    """A list of (label, score); the best is drawn in the accent colour and in bold."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        """Show nothing yet."""
        super().__init__(parent)
        self._theme = theme
        self._scores: list[tuple[str, float]] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.changed.connect(self.update)

    @property
    def scores(self) -> list[tuple[str, float]]:
        """What is shown, best first."""
        return list(self._scores)

    def set_scores(self, scores: dict[str, float]) -> None:
        """Show ``scores``, sorted."""
        self._scores = sorted(((shown(k), float(v)) for k, v in scores.items()), key=lambda item: -item[1])
        lines = (f"{label} {words.decimals(score, 3)}" for label, score in self._scores)
        self.setAccessibleName(self.tr("Scores"))
        self.setAccessibleDescription("; ".join(lines))
        self.setToolTip("")
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """Return the height that all bars need."""
        return QSize(280, max(1, len(self._scores)) * self._row())

    def minimumSizeHint(self) -> QSize:
        """Return the least width at which a bar says something."""
        return QSize(160, len(self._scores) * self._row())

    def _row(self) -> int:
        return max(_ROW, self.fontMetrics().height() + 6)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint labels, tracks, bars and numbers."""
        del event
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        bold = self.font()
        bold.setBold(True)
        wide = QFontMetrics(bold)
        label_width = min(
            max((wide.horizontalAdvance(label) for label, _ in self._scores), default=0), int(self.width() * 0.4)
        )
        number_width = wide.horizontalAdvance("-0.000")
        begin = label_width + _GAP
        length = max(8.0, self.width() - begin - number_width - _GAP)
        height = self._row()
        # Cosines of texts rarely leave 0..1; a scale that ends at the best score would make every winner look certain.
        for at, (label, score) in enumerate(self._scores):
            best = at == 0
            painter.setFont(bold if best else self.font())
            painter.setPen(self._theme.colour("text" if best else "muted"))
            line = QRectF(0, at * height, label_width, height)
            painter.drawText(
                line,
                Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft,
                wide.elidedText(label, Qt.TextElideMode.ElideRight, label_width),
            )
            painter.drawText(
                QRectF(self.width() - number_width, at * height, number_width, height),
                Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight,
                words.decimals(score, 3),
            )
            track = QRectF(begin, at * height + (height - _BAR) / 2, length, _BAR)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._theme.colour("hover"))
            painter.drawRoundedRect(track, _BAR / 2, _BAR / 2)
            share = min(1.0, max(0.0, score))
            if share > 0:
                track.setWidth(max(_BAR, length * share))
                painter.setBrush(self._theme.colour("accent" if best else "strong_border"))
                painter.drawRoundedRect(track, _BAR / 2, _BAR / 2)
        painter.end()
