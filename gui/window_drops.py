"""Files and folders that are dropped anywhere on the window: documents for the pile, or a model for its panel."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QRect
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent
from PySide6.QtWidgets import QWidget

from gui.adding import Adder
from gui.drops import local_paths
from gui.panels.model import ModelPanel
from gui.theme import Theme
from gui.widgets.dock import Dock
from gui.widgets.drop_overlay import DropOverlay


class WindowDrops(QObject):
    """Takes the drag and drop events of ``window``; an overlay says what a drop would do."""

    def __init__(self, window: QWidget, theme: Theme, place: Dock, adder: Adder, model: ModelPanel) -> None:
        """Give a single thing that is dropped on ``place`` to ``model``, all else to ``adder``."""
        super().__init__(window)
        self._place, self._adder, self._model = place, adder, model
        self.overlay = DropOverlay(theme, window)
        window.setAcceptDrops(True)
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take what has to do with a drag; leave all other events to the window."""
        del watched
        if isinstance(event, QDragEnterEvent | QDragMoveEvent):
            entered = event.type() == QEvent.Type.DragMove or bool(local_paths(event.mimeData()))
            if entered:
                event.acceptProposedAction()
                self.overlay.open(self._over_model(event))
            return entered
        if event.type() == QEvent.Type.DragLeave:
            self.overlay.hide()
        elif isinstance(event, QDropEvent):
            return self._drop(event)
        return False

    def _over_model(self, event: QDropEvent) -> QRect | None:
        """Return where the model panel is if a single thing is over it, which may be a model; else None."""
        dock = self._place
        here = event.position().toPoint()
        over = dock.isVisible() and not dock.isFloating() and dock.geometry().contains(here)
        return dock.geometry() if over and len(local_paths(event.mimeData())) == 1 else None

    def _drop(self, event: QDropEvent) -> bool:
        """Add what was dropped, or open it if it was dropped on the model panel."""
        self.overlay.hide()
        paths = local_paths(event.mimeData())
        if paths:
            event.acceptProposedAction()
            if self._over_model(event) is not None:
                self._model.try_folder(paths[0])
            else:
                self._adder.paths(paths)
        return bool(paths)
