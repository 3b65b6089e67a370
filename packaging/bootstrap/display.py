"""The display: whether there is one to put a window on, and by which of Qt's platforms."""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Platform = Literal["native", "xcb", "wayland", "chosen"]
"""``native``: Windows and macOS. ``chosen``: the user named another one in QT_QPA_PLATFORM, offscreen for example."""


@dataclass(frozen=True)
class Display:
    """What was found."""

    platforms: tuple[Platform, ...]
    """The platforms that can be tried, best first; empty where there is no display."""
    reason: str = ""
    """Why there is none, for the user."""


def x11_answers() -> bool:
    """Return whether the X server in DISPLAY takes a connection, or cannot be asked because libxcb is missing.

    A missing libxcb is not a missing display: the check of the system libraries names it.
    """
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:
        return True
    # https://xcb.freedesktop.org/PublicApi/: never returns NULL; errors are asked for; the block must be freed anyway.
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connection_has_error.argtypes = [ctypes.c_void_p]
    xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    connection = xcb.xcb_connect(None, None)
    failed = xcb.xcb_connection_has_error(connection)
    xcb.xcb_disconnect(connection)
    return not failed


def wayland_answers(environ: Mapping[str, str]) -> bool:
    """Return whether the compositor named in WAYLAND_DISPLAY takes a connection."""
    path = os.path.join(environ.get("XDG_RUNTIME_DIR", "/"), environ["WAYLAND_DISPLAY"])
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(2)
            probe.connect(path)
    except OSError:
        return False
    return True


def find_display(
    environ: Mapping[str, str],
    system: str,
    ask_x11: Callable[[], bool] = x11_answers,
    ask_wayland: Callable[[Mapping[str, str]], bool] = wayland_answers,
) -> Display:
    """Look for a display; ``system`` is a value of ``sys.platform``.

    QT_QPA_PLATFORM is obeyed: with ``offscreen``, ``vnc`` and the like, nothing but Qt can know whether it will work.
    """
    if system in {"win32", "darwin"}:
        return Display(("native",))
    asked = environ.get("QT_QPA_PLATFORM", "")
    names = [part.partition(":")[0].strip() for part in asked.split(";") if part.strip()]
    if names and not all(name == "xcb" or name.startswith("wayland") for name in names):
        return Display(("chosen",))
    found: list[Platform] = []
    silent: list[str] = []
    if environ.get("WAYLAND_DISPLAY") and "xcb" not in names[:1]:
        if ask_wayland(environ):
            found.append("wayland")
        else:
            silent.append(f"WAYLAND_DISPLAY={environ['WAYLAND_DISPLAY']}")
    if environ.get("DISPLAY") and (not names or "xcb" in names):
        if ask_x11():
            found.append("xcb")
        else:
            silent.append(f"DISPLAY={environ['DISPLAY']}")
    if found:
        return Display(tuple(found))
    if silent:
        return Display((), f"nothing answers at {' and '.join(silent)}")
    if asked:
        return Display((), f"QT_QPA_PLATFORM={asked}, and no such display is set")
    return Display((), "neither DISPLAY nor WAYLAND_DISPLAY is set")
