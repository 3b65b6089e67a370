"""Where the panels are: docks around the views, their first places, and the memory of the last ones."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QSize, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFrame, QMainWindow, QScrollArea, QStyle, QVBoxLayout, QWidget

from gui.live_place import LivePlace
from gui.panels.pile import PilePanel
from gui.panels.result import ResultPanel
from gui.settings import Settings
from gui.theme import Theme
from gui.widgets.dock import Dock
from gui.widgets.views import Views

VERSION = 2
"""Version of the remembered layout; another one is ignored."""

COLUMNS = "columns_14"
"""Key of the columns' widths and order; another number of columns has another one."""

SIDE, SIDE_NARROW, NARROW = 344, 300, 1200
"""First widths of the side panels, and of the window below which they are narrow, in logical pixels."""

LIVE, RESULT, RESULT_LOW, RESULT_LOWEST = 160, 290, 240, 170
"""First heights in logical pixels of the live panel where it is docked, and of the result."""

LOW, LOWEST = 800, 640
"""Heights in logical pixels below which a window is low, as on a small laptop, and very low, as on one at 200 %."""

FOLDS = ("model", "hardware")
"""Panels that are one line until somebody opens them."""

_LEAST = 56
"""Height in logical pixels that is left of a panel that scrolls when there is no room."""

_Area = Qt.DockWidgetArea


class _Inner(QMainWindow):
    """The pile with the result docked to it, inside the window: so LIVE can run below all of it."""

    def createPopupMenu(self) -> None:  # type: ignore[override] - no menu: the outer window's lists all panels
        """Offer no menu of its own."""
        return


class _Scrolled(QScrollArea):
    """A panel that scrolls up and down where there is no room; its bar takes nothing of the panel's width."""

    def __init__(self, panel: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setWidget(panel)
        self._panel = panel

    def minimumSizeHint(self) -> QSize:
        bar = self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent, None, self.verticalScrollBar())
        return QSize(self._panel.minimumSizeHint().width() + bar, _LEAST)


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
        """Dock the panels in their first places; ``header`` lies above the views."""
        self._window, self._settings, self._pile, self._result = window, settings, pile, result
        tr = window.tr
        self._inner = _Inner()
        self._inner.setWindowFlags(Qt.WindowType.Widget)
        self._inner.setAcceptDrops(False)
        self._inner.setCentralWidget(pile)
        self._inner.setDockOptions(QMainWindow.DockOption.AllowNestedDocks)
        self.live = LivePlace()
        self.views = Views(tr("View"))
        self.views.add(self._inner, tr("Table"))
        self.views.add(self.live.view, tr("Live"))
        centre = QWidget()
        column = QVBoxLayout(centre)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(header)
        column.addWidget(self.views, 1)
        window.setCentralWidget(centre)
        window.setDockOptions(QMainWindow.DockOption.AllowNestedDocks | QMainWindow.DockOption.AllowTabbedDocks)
        # The side panels need all of the window's height more than docked charts need all of its width.
        window.setCorner(Qt.Corner.BottomLeftCorner, _Area.LeftDockWidgetArea)
        self.docks: dict[str, Dock] = {}
        for name, title, content, home in (
            ("task", tr("Task"), task, window),
            ("model", tr("Model"), _Scrolled(model), window),
            ("hardware", tr("Hardware"), _Scrolled(hardware), window),
            ("result", tr("Result"), result, self._inner),
            ("live", tr("Live"), self.live.small, window),
        ):
            dock = self.docks[name] = Dock(name, title, content, theme, home, folds=name in FOLDS)
            dock.folded_changed.connect(self._share_side)
            dock.toggleViewAction().triggered.connect(lambda shown, name=name: self._toggled(name, shown=shown))
        self.docks["live"].toggleViewAction().setText(tr("Live, small and docked"))

    @property
    def toggles(self) -> list[QAction]:
        """The actions that show and hide the panels."""
        return [dock.toggleViewAction() for dock in self.docks.values()]

    def open(self, name: str) -> None:
        """Bring a panel forward, whole."""
        dock = self.docks[name]
        dock.show()
        dock.fold(folded=False)
        dock.raise_()

    def _toggled(self, name: str, shown: bool) -> None:
        """Go to a panel that somebody shows: the keyboard goes on where the eye is."""
        if not shown:
            return
        self.open(name)
        for field in self.docks[name].widget().findChildren(QWidget):
            if field.focusPolicy() & Qt.FocusPolicy.TabFocus and field.isVisible() and field.isEnabled():
                field.setFocus(Qt.FocusReason.ShortcutFocusReason)
                return

    def place(self) -> None:
        """Put every panel where it was in the beginning."""
        window, docks = self._window, self.docks
        for name, dock in docks.items():
            dock.setFloating(False)
            dock.fold(folded=name in FOLDS)
            dock.setVisible(name != "live")
        self.views.show_page(0)
        for name in ("task", "model", "hardware"):
            window.addDockWidget(_Area.LeftDockWidgetArea, docks[name])
        window.addDockWidget(_Area.BottomDockWidgetArea, docks["live"])
        self._inner.addDockWidget(_Area.BottomDockWidgetArea, docks["result"])
        window.splitDockWidget(docks["task"], docks["model"], Qt.Orientation.Vertical)
        window.splitDockWidget(docks["model"], docks["hardware"], Qt.Orientation.Vertical)
        side = [docks["task"], docks["model"], docks["hardware"]]
        high = window.height()
        result = RESULT if high >= LOW else RESULT_LOW if high >= LOWEST else RESULT_LOWEST
        width = SIDE if window.width() >= NARROW else SIDE_NARROW
        window.resizeDocks(side, [width] * 3, Qt.Orientation.Horizontal)
        window.resizeDocks([docks["live"]], [LIVE], Qt.Orientation.Vertical)
        self._inner.resizeDocks([docks["result"]], [result], Qt.Orientation.Vertical)
        self._share_side()
        self._pile.reset_columns()

    def _share_side(self) -> None:
        """Give an open panel at the side what it holds, up to a third of the window, and the task the rest."""
        window, task = self._window, self.docks["task"]
        side = [dock for name in FOLDS if self._at_side(dock := self.docks[name])]
        if side and self._at_side(task):
            most = window.height() // 3
            wanted = [1 if dock.folded else min(most, dock.wanted()) for dock in side]
            rest = max(_LEAST, window.height() - sum(wanted))
            window.resizeDocks([task, *side], [rest, *wanted], Qt.Orientation.Vertical)

    def _at_side(self, dock: Dock) -> bool:
        return not dock.isFloating() and self._window.dockWidgetArea(dock) == _Area.LeftDockWidgetArea

    def reset(self) -> None:
        """Forget the remembered layout and put everything back."""
        self._settings.forget("window", "docks", "inner_docks", "folded", "view", COLUMNS, "result_splitter")
        self._result.splitter.setSizes([500, 500])
        self.place()

    def save(self) -> None:
        """Remember where everything is."""
        window, settings = self._window, self._settings
        settings.set_data("window", window.saveGeometry())
        settings.set_data("docks", window.saveState(VERSION))
        settings.set_data("inner_docks", self._inner.saveState(VERSION))
        settings.set_json("folded", [name for name in FOLDS if self.docks[name].folded])
        settings.set_json("view", self.views.bar.currentIndex())
        settings.set_data(COLUMNS, self._pile.columns.state())
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
        folded = self._settings.json("folded", list(FOLDS))
        for name in FOLDS:
            self.docks[name].fold(folded=name in folded)
        window.restoreState(self._data("docks"), VERSION)
        self._inner.restoreState(self._data("inner_docks"), VERSION)
        self.views.show_page(self._settings.json("view", 0))
        self._pile.columns.restore(self._data(COLUMNS))
        self._result.splitter.restoreState(self._data("result_splitter"))

    def _data(self, key: str) -> QByteArray:
        return self._settings.data(key)
