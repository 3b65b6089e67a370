"""The toolbar: the few actions of every day, the piles when there are several, and the model's state."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import QComboBox, QSizePolicy, QToolBar, QToolButton, QWidget

from gui import words
from gui.actions import Actions
from gui.escape import shown
from gui.panels.model import status_icon_role
from gui.session import Session
from gui.theme import Theme

NARROW = 1000
"""Width in logical pixels below which the model's name is left to its panel."""


class Toolbar(QToolBar):
    """Buttons are the menu's actions. ``model_clicked`` asks for the model panel."""

    model_clicked = Signal()

    def __init__(self, actions: Actions, session: Session, theme: Theme, parent: QWidget | None = None) -> None:
        """Show ``actions`` and follow ``session``."""
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._piles: list[tuple[str, str]] = []
        self._model_look: tuple[str, ...] = ()
        self.setObjectName("toolbar")
        self.setWindowTitle(self.tr("Toolbar"))
        self.setMovable(False)
        self.setIconSize(QSize(20, 20))
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.toggleViewAction().setVisible(False)  # without it the main actions would be hard to find again
        groups: list[list[QAction]] = [
            [actions.add_files, actions.add_folder],
            [actions.start, actions.pause, actions.stop],
            [actions.export],
        ]
        for at, group in enumerate(groups):
            if at:
                self.addSeparator()
            for action in group:
                self.addAction(action)
                button = self.widgetForAction(action)
                button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
                button.setAccessibleName(action.text().replace("&", "").rstrip("…"))
        self._start = self.widgetForAction(actions.start)
        self._start.setProperty("look", "primary")
        actions.start.changed.connect(self._dress_start)  # the button has just taken the action's icon
        for action in (actions.add_files, actions.add_folder, actions.export):
            action.setIconText(action.text().replace("&", "").rstrip("…"))
        spacer = QWidget()
        spacer.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.addWidget(spacer)
        self.piles = QComboBox()
        self.piles.setAccessibleName(self.tr("Pile"))
        self.piles.setToolTip(self.tr("Which pile is shown; they run one after another"))
        self.piles.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.piles.setMaximumWidth(220)
        self.piles.activated.connect(lambda row: session.piles.select(self.piles.itemData(row)))
        self._piles_action = self.addWidget(self.piles)
        self._piles_action.setVisible(False)
        self.model = QToolButton()
        self.model.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.model.setIconSize(QSize(18, 18))
        self.model.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.model.clicked.connect(self.model_clicked)
        self.addWidget(self.model)
        theme.changed.connect(self._dress)
        session.model_changed.connect(self.show_model)
        session.jobs_changed.connect(self.show_piles)
        session.current_changed.connect(self.show_piles)
        self._dress()

    def _dress_start(self) -> None:
        """Give Start, whose button is filled, an icon that is seen on it; the menu's is in the colour of the text."""
        if isinstance(self._start, QToolButton):
            self._start.setIcon(self._theme.icon("start", "on_accent"))

    def _dress(self) -> None:
        self._dress_start()
        self._model_look = ()
        self.show_model()

    def show_model(self) -> None:
        """Show the model's name and state."""
        model = self._session.model
        ours = {"starter": self.tr("Starter model"), "writer": self.tr("Writer")}
        name = ours.get(model.folder, shown(model.name))
        word = words.model_status(model.status, model.progress)
        narrow = self.width() < NARROW or not name
        text = word if narrow else self.tr("{model}: {state}").format(model=_shortened(name), state=word)
        look = (model.status, text, name)
        if look == self._model_look:
            return
        self._model_look = look
        self.model.setText(text)
        self.model.setIcon(self._theme.icon(*status_icon_role(model.status)))
        self.model.setAccessibleName(self.tr("Model {name}, {state}").format(name=name, state=word))
        self.model.setToolTip(self.tr("Show the model panel"))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave out the model's name where there is no room for it."""
        super().resizeEvent(event)
        self.show_model()

    def show_piles(self) -> None:
        """List the piles; one alone needs no list."""
        piles = [(job.id, job.name) for job in self._session.jobs.values()]
        if piles != self._piles:
            self._piles = piles
            self.piles.clear()
            for number, name in piles:
                self.piles.addItem(shown(name), number)
            self._piles_action.setVisible(len(piles) > 1)
        row = self.piles.findData(self._session.current)
        if row != self.piles.currentIndex():
            self.piles.setCurrentIndex(row)


def _shortened(name: str, most: int = 30) -> str:
    half = most // 2 - 1
    return name if len(name) <= most else f"{name[:half]}…{name[-half:]}"
