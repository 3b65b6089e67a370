"""Where the panels are: docks around the pile, their first places, and the memory of the last ones."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFrame, QMainWindow, QScrollArea, QVBoxLayout, QWidget

from gui.panels.pile import PilePanel
from gui.panels.result import ResultPanel
from gui.settings import Settings
from gui.theme import Theme
from gui.widgets.dock import Dock

VERSION = 1
"""Version of the remembered layout; another one is ignored."""

SIDE = 300
LIVE, LIVE_LOW, LIVE_LOWEST = 188, 160, 130
RESULT, RESULT_LOW, RESULT_LOWEST = 250, 200, 120
"""First widths and heights, in logical pixels, of the side panels, the live panel and the result."""

LOW, LOWEST = 800, 640
"""Heights in logical pixels below which a window is low, as on a small laptop, and very low, as on one at 200 %."""

_LEAST = 56
"""Height in logical pixels that is left of a panel that scrolls when there is no room."""

_Area = Qt.DockWidgetArea


class _Inner(QMainWindow):
    """The pile with the result docked to it, inside the window: so LIVE can run below all of it."""

    def createPopupMenu(self) -> None:  # type: ignore[override] - no menu: the outer window's lists all panels
        """Offer no menu of its own."""
        return


def _scrolled(panel: QWidget) -> QScrollArea:
    """Return ``panel`` in a scroll area that takes its minimum width."""
    scroll = QScrollArea()
    scroll.setWidgetResizable(True)
    scroll.setFrameShape(QFrame.Shape.NoFrame)
    scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    scroll.setMinimumHeight(_LEAST)
    scroll.setWidget(panel)
    return scroll


class Layout:
    """Puts the panels of the window together. ``docks`` are by name, in the order of the View menu."""

    def __init__(
        self,
        window: QMainWindow,
        theme: Theme,
        settings: Settings,
        *,
        header: QWidget,
        pile: PilePanel,
        result: ResultPanel,
        model: QWidget,
        task: QWidget,
        hardware: QWidget,
    ) -> None:
        """Dock the panels in their first places; ``header`` lies above the pile."""
        self._window, self._settings, self._pile, self._result = window, settings, pile, result
        self._inner = _Inner()
        self._inner.setWindowFlags(Qt.WindowType.Widget)
        self._inner.setAcceptDrops(False)
        self._inner.setCentralWidget(pile)
        self._inner.setDockOptions(QMainWindow.DockOption.AllowNestedDocks)
        centre = QWidget()
        column = QVBoxLayout(centre)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(header)
        column.addWidget(self._inner, 1)
        window.setCentralWidget(centre)
        window.setDockOptions(QMainWindow.DockOption.AllowNestedDocks | QMainWindow.DockOption.AllowTabbedDocks)
        tr = window.tr
        self.docks: dict[str, Dock] = {}
        for name, title, content, home in (
            ("model", tr("Model"), _scrolled(model), window),
            ("task", tr("Task"), task, window),
            ("hardware", tr("Hardware"), _scrolled(hardware), window),
            ("result", tr("Result"), result, self._inner),
            ("live", tr("Live"), QWidget(), window),
        ):
            self.docks[name] = Dock(name, title, content, theme, home)

    @property
    def toggles(self) -> list[QAction]:
        """The actions that show and hide the panels."""
        return [dock.toggleViewAction() for dock in self.docks.values()]

    def place(self) -> None:
        """Put every panel where it was in the beginning."""
        window, docks = self._window, self.docks
        for dock in docks.values():
            dock.setFloating(False)
            dock.show()
        # In a low window the side panels need all of its height more than the charts need all of its width.
        low = window.height() < LOW
        self._set_corner(low=low)
        for name in ("model", "task", "hardware"):
            window.addDockWidget(_Area.LeftDockWidgetArea, docks[name])
        window.addDockWidget(_Area.BottomDockWidgetArea, docks["live"])
        self._inner.addDockWidget(_Area.BottomDockWidgetArea, docks["result"])
        window.splitDockWidget(docks["model"], docks["task"], Qt.Orientation.Vertical)
        window.splitDockWidget(docks["task"], docks["hardware"], Qt.Orientation.Vertical)
        side = [docks["model"], docks["task"], docks["hardware"]]
        live, result = (LIVE_LOW, RESULT_LOW) if low else (LIVE, RESULT)
        if window.height() < LOWEST:
            live, result = LIVE_LOWEST, RESULT_LOWEST
        # The task has the most to fill in; the model has said all it has to say in five lines.
        window.resizeDocks(side, [152, 288, 218], Qt.Orientation.Vertical)
        window.resizeDocks(side, [SIDE] * 3, Qt.Orientation.Horizontal)
        window.resizeDocks([docks["live"]], [live], Qt.Orientation.Vertical)
        self._inner.resizeDocks([docks["result"]], [result], Qt.Orientation.Vertical)
        self._pile.reset_columns()

    def _set_corner(self, *, low: bool) -> None:
        area = _Area.LeftDockWidgetArea if low else _Area.BottomDockWidgetArea
        self._window.setCorner(Qt.Corner.BottomLeftCorner, area)

    def reset(self) -> None:
        """Forget the remembered layout and put everything back."""
        self._settings.forget("window", "low", "docks", "inner_docks", "columns", "result_splitter")
        self._result.splitter.setSizes([500, 500])
        self.place()

    def save(self) -> None:
        """Remember where everything is."""
        window, settings = self._window, self._settings
        settings.set_data("window", window.saveGeometry())
        settings.set_json("low", window.corner(Qt.Corner.BottomLeftCorner) == _Area.LeftDockWidgetArea)
        settings.set_data("docks", window.saveState(VERSION))
        settings.set_data("inner_docks", self._inner.saveState(VERSION))
        settings.set_data("columns", self._pile.columns_state())
        settings.set_data("result_splitter", self._result.splitter.saveState())
        settings.sync()

    def restore(self) -> None:
        """Put everything where it was last time; what is not remembered keeps its first place."""
        window = self._window
        if not window.restoreGeometry(self._data("window")):
            screen = window.screen().availableGeometry()
            window.resize(min(1440, screen.width() - 40), min(900, screen.height() - 60))
            if screen.height() < LOW:
                window.setWindowState(Qt.WindowState.WindowMaximized)  # every row counts
        self.place()
        if self._settings.data("docks"):
            self._set_corner(low=bool(self._settings.json("low", default=False)))  # saveState leaves corners out
        window.restoreState(self._data("docks"), VERSION)
        self._inner.restoreState(self._data("inner_docks"), VERSION)
        header = self._pile.view.horizontalHeader()
        if header.restoreState(self._data("columns")):
            header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self._result.splitter.restoreState(self._data("result_splitter"))

    def _data(self, key: str) -> QByteArray:
        return self._settings.data(key)
