"""Light and dark: the colours, the palette, the few style rules, and icons in the colours of the theme."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QByteArray, QObject, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication

from assets import path as asset_path
from gui.style_sheet import STYLE_SHEET

MODES = ("system", "light", "dark")


@dataclass(frozen=True, slots=True)
class Colours:
    """One set of colours as ``#rrggbb``; texts reach a contrast of 4.5 : 1 on ``window`` and on ``base``."""

    window: str
    base: str
    alternate: str
    raised: str
    hover: str
    border: str
    strong_border: str
    text: str
    muted: str
    accent: str
    accent_hover: str
    on_accent: str
    soft: str
    done: str
    warning: str
    error: str


LIGHT = Colours(
    window="#f3f5f7",
    base="#ffffff",
    alternate="#f8f9fb",
    raised="#ffffff",
    hover="#e6eaee",
    border="#dbe0e6",
    strong_border="#b9c2cc",
    text="#1b232e",
    muted="#5a6573",
    accent="#0b7a75",
    accent_hover="#096863",
    on_accent="#ffffff",
    soft="#d3ebe8",
    done="#2a7a4b",
    warning="#8a5a00",
    error="#b3261e",
)
DARK = Colours(
    window="#1b1f25",
    base="#14171c",
    alternate="#181c21",
    raised="#252a32",
    hover="#2d333c",
    border="#303741",
    strong_border="#4a5361",
    text="#e4e8ed",
    muted="#9da8b5",
    accent="#3fbdb3",
    accent_hover="#57cdc4",
    on_accent="#06201e",
    soft="#1f4644",
    done="#63c58d",
    warning="#e2b455",
    error="#ff8177",
)

_STATE_ROLE = {
    "waiting": "muted",
    "running": "accent",
    "done": "done",
    "failed": "error",
    "skipped": "warning",
    "cancelled": "muted",
    "quarantined": "error",
    "offline": "warning",
}
_SIZES = (16, 20, 32, 40)
"""Pixel sizes that are drawn of every icon: 16 and 20 at 100 % and at 200 %."""


def _palette(c: Colours) -> QPalette:
    """Return the palette that Fusion draws with."""
    palette = QPalette()
    role = QPalette.ColorRole
    for where, colour in (
        (role.Window, c.window),
        (role.WindowText, c.text),
        (role.Base, c.base),
        (role.AlternateBase, c.alternate),
        (role.Text, c.text),
        (role.PlaceholderText, c.muted),
        (role.Button, c.raised),
        (role.ButtonText, c.text),
        (role.BrightText, c.error),
        (role.Highlight, c.soft),
        (role.HighlightedText, c.text),
        (role.Accent, c.accent),
        (role.Link, c.accent),
        (role.LinkVisited, c.accent),
        (role.ToolTipBase, c.raised),
        (role.ToolTipText, c.text),
        (role.Light, c.raised),
        (role.Midlight, c.hover),
        (role.Mid, c.border),
        (role.Dark, c.strong_border),
        (role.Shadow, c.strong_border),
    ):
        palette.setColor(where, QColor(colour))
    faint = QColor(c.muted)
    faint.setAlphaF(0.6)
    for where in (role.WindowText, role.Text, role.ButtonText, role.HighlightedText):
        palette.setColor(QPalette.ColorGroup.Disabled, where, faint)
    palette.setColor(QPalette.ColorGroup.Disabled, role.Base, QColor(c.window))
    palette.setColor(QPalette.ColorGroup.Disabled, role.Accent, QColor(c.strong_border))
    return palette


class Theme(QObject):
    """The look of the whole application. ``changed`` says that icons have to be asked for again."""

    changed = Signal()

    def __init__(self, app: QApplication, mode: str = "system") -> None:
        """Dress ``app`` in ``mode`` (system, light or dark)."""
        super().__init__(app)
        self._app = app
        self._mode = ""
        self._icons: dict[tuple[str, str], QIcon] = {}
        self.colours = LIGHT
        app.setStyle("fusion")
        app.setWindowIcon(QIcon(str(asset_path("icons", "heddle.svg"))))
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._scheme_changed)
        self.set_mode(mode)

    @property
    def mode(self) -> str:
        """Which of system, light and dark is chosen."""
        return self._mode

    @property
    def dark(self) -> bool:
        """Whether the dark colours are in use now."""
        return self.colours is DARK

    def set_mode(self, mode: str) -> None:
        """Choose system, light or dark; an unknown word means system."""
        self._mode = mode if mode in MODES else "system"
        scheme = {"light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}
        QGuiApplication.styleHints().setColorScheme(scheme.get(self._mode, Qt.ColorScheme.Unknown))
        self._dress()

    def _scheme_changed(self) -> None:
        if self._mode == "system":
            self._dress()

    def _dress(self) -> None:
        system_dark = QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark
        self.colours = DARK if self._mode == "dark" or (self._mode == "system" and system_dark) else LIGHT
        self._icons.clear()
        self._app.setPalette(_palette(self.colours))
        tick = asset_path("ticks", "dark.svg" if self.dark else "light.svg").as_posix()
        named = {name: getattr(self.colours, name) for name in Colours.__slots__}
        self._app.setStyleSheet(STYLE_SHEET.format_map({**named, "tick": tick}))
        self.changed.emit()

    # -------------------------------------------------------------------------------------------------- colours, icons
    def colour(self, role: str) -> QColor:
        """Return the colour of a role of Colours, or of a document's state."""
        return QColor(getattr(self.colours, _STATE_ROLE.get(role, role)))

    def icon(self, name: str, role: str = "text") -> QIcon:
        """Return ``assets/icons/<name>.svg`` drawn in the colour of ``role``, paler when disabled."""
        key = (name, role)
        if key not in self._icons:
            icon = QIcon()
            for size in _SIZES:
                normal = self.pixmap(name, role, size)
                icon.addPixmap(normal, QIcon.Mode.Normal)
                icon.addPixmap(normal, QIcon.Mode.Selected)
                faint = self.pixmap(name, "text", size, opacity=0.35)
                icon.addPixmap(faint, QIcon.Mode.Disabled)
            self._icons[key] = icon
        return self._icons[key]

    def state_icon(self, state: str) -> QIcon:
        """Return the icon of a document's state in its colour."""
        return self.icon(state, state)

    def pixmap(self, name: str, role: str, size: int, *, opacity: float = 1.0, ratio: float = 1.0) -> QPixmap:
        """Return an icon of ``size`` logical pixels a side for a screen with ``ratio`` device pixels each."""
        with open(asset_path("icons", f"{name}.svg"), "rb") as file:
            source = file.read().replace(b"currentColor", self.colour(role).name().encode())
        pixmap = QPixmap(QSize(size, size) * ratio)
        pixmap.setDevicePixelRatio(ratio)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setOpacity(opacity)
        QSvgRenderer(QByteArray(source)).render(painter, QRectF(0, 0, size, size))
        painter.end()
        return pixmap
