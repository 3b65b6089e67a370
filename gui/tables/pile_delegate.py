"""How cells of the pile table are painted: a slim bar for progress, names elided in the middle."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRectF, Qt
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from gui.tables.pile_table import PROGRESS_ROLE
from gui.theme import Theme

_HEIGHT = 6.0
_MARGIN = 11.0


class ProgressDelegate(QStyledItemDelegate):
    """A rounded bar in the colour of the document's state; the text form is in the model, for screen readers."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        """Paint in the colours of ``theme``."""
        super().__init__(parent)
        self._theme = theme

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Paint the background of the style and the bar on it."""
        style = option.widget.style()  # type: ignore[attr-defined] - the stubs leave out the fields of style options
        style.drawPrimitive(QStyle.PrimitiveElement.PE_PanelItemViewItem, option, painter, option.widget)  # type: ignore[attr-defined]
        found = index.data(PROGRESS_ROLE)
        if not found:
            return
        share, state = found
        if state == "skipped":
            return  # nothing was begun, and nothing will be
        cell = QRectF(option.rect)  # type: ignore[attr-defined]
        track = QRectF(cell.x() + _MARGIN, cell.center().y() - _HEIGHT / 2 + 0.5, cell.width() - 2 * _MARGIN, _HEIGHT)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.colour("hover"))
        painter.drawRoundedRect(track, _HEIGHT / 2, _HEIGHT / 2)
        if share > 0:
            track.setWidth(max(_HEIGHT, track.width() * min(1.0, share)))
            painter.setBrush(self._theme.colour(state))
            painter.drawRoundedRect(track, _HEIGHT / 2, _HEIGHT / 2)
        painter.restore()


class NameDelegate(QStyledItemDelegate):
    """Elides long names in the middle, where they differ least."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        """Fill the option as usual, but for where the text is elided."""
        super().initStyleOption(option, index)
        option.textElideMode = Qt.TextElideMode.ElideMiddle  # type: ignore[attr-defined]
