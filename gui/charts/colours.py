"""The colours of the charts, for a light and a dark window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtGui import QColor, QLinearGradient, QPalette

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Colours:
    """One theme. ``first`` and ``second`` are the curves; ``heat`` are the stops of 0 to 100 % in even steps."""

    field: str
    grid: str
    text: str
    muted: str
    first: str
    second: str
    activities: dict[str, str]
    heat: tuple[str, ...]


# Luminance is monotonic along ``heat`` and runs away from the background: idle recedes, busy stands out.
LIGHT = Colours(
    field="#ffffff",
    grid="#e3e7ec",
    text="#1b232e",
    muted="#5a6573",
    first="#0b7a75",
    second="#b8510a",
    activities={
        "encode": "#0e8a84",
        "prefill": "#8347cf",
        "decode": "#2b6bdb",
        "prepare": "#e8a01c",
        "waiting": "#b3bcc9",
        "idle": "#e6eaef",
    },
    heat=("#e9edf1", "#a5d6d0", "#46a69e", "#0b6f72", "#083a4a"),
)
DARK = Colours(
    field="#14171c",
    grid="#2b313a",
    text="#e4e8ed",
    muted="#9da8b5",
    first="#3fbdb3",
    second="#f2a45c",
    activities={
        "encode": "#3fbdb3",
        "prefill": "#b991f5",
        "decode": "#5a9dff",
        "prepare": "#f4b740",
        "waiting": "#5d6776",
        "idle": "#2a3038",
    },
    heat=("#252b33", "#22505c", "#26908c", "#7fd08a", "#fbe873"),
)


def colours_of(palette: QPalette) -> Colours:
    """Return the colours that go with ``palette``: dark when its windows are darker than their text.

    Field, grid and texts are the palette's own.
    """
    role = QPalette.ColorRole
    window, text = palette.color(role.Window), palette.color(role.WindowText)
    theme = DARK if window.lightness() < text.lightness() else LIGHT
    muted = palette.color(role.PlaceholderText)
    return replace(
        theme,
        field=palette.color(role.Base).name(),
        text=text.name(),
        muted=muted.name() if muted.alpha() == 255 else theme.muted,  # Qt's own is see-through
    )


@cache
def heat_table(heat: tuple[str, ...]) -> NDArray[np.uint8]:
    """Return 256 RGBA rows: 0 is "no data" and transparent, 1 to 255 run linearly through the stops."""
    stops = np.array([QColor(stop).getRgb() for stop in heat], dtype=np.float64)
    at = np.linspace(0.0, len(stops) - 1.0, 255)
    table = np.zeros((256, 4), dtype=np.uint8)
    for channel in range(4):
        table[1:, channel] = np.rint(np.interp(at, np.arange(len(stops)), stops[:, channel]))
    table.setflags(write=False)
    return table


def heat_gradient(heat: tuple[str, ...]) -> QLinearGradient:
    """Return the stops as a gradient from left to right of whatever it fills."""
    gradient = QLinearGradient(0.0, 0.0, 1.0, 0.0)
    gradient.setCoordinateMode(QLinearGradient.CoordinateMode.ObjectMode)
    for i, stop in enumerate(heat):
        gradient.setColorAt(i / (len(heat) - 1), QColor(stop))
    return gradient
