"""Where the charts are: in their view, of the whole width, or docked small below everything by choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractScrollArea, QLabel, QVBoxLayout, QWidget

from gui.widgets.dock import Dock

if TYPE_CHECKING:
    from gui.panels.live import LivePanel


class _Holder(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(0, 0, 0, 0)


class LivePlace:
    """Moves the live panel between its two places. ``view`` is the page of the view, ``small`` what the dock holds."""

    def __init__(self) -> None:
        """Have the two places, and no panel yet."""
        self.view, self.small = _Holder(), _Holder()
        self._panel: LivePanel | None = None
        self._elsewhere = QLabel(self.view.tr("The charts are docked below. Hide that panel to see them here, large."))
        self._elsewhere.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._elsewhere.setWordWrap(True)
        self._elsewhere.setProperty("look", "muted")
        self._elsewhere.hide()
        self.view.column.addWidget(self._elsewhere)

    def hold(self, panel: LivePanel, dock: Dock) -> None:
        """Keep ``panel`` in the view, or in ``dock`` while that is shown."""
        self._panel = panel
        for area in panel.findChildren(QAbstractScrollArea):
            area.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # charts have nothing to press
        dock.visibilityChanged.connect(lambda _shown: self._place(dock))
        self._place(dock)

    def _place(self, dock: Dock) -> None:
        panel = self._panel
        if panel is None:
            return
        docked = not dock.isHidden()
        panel.set_rows(1 if docked else 2)
        (self.small if docked else self.view).column.addWidget(panel)
        self._elsewhere.setVisible(docked)
