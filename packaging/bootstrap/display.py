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
    """The platforms that can be tried, best first, or why there is none."""

    platforms: tuple[Platform, ...]
    reason: str = ""


def x11_answers(environ: Mapping[str, str]) -> bool:
    """Return whether the X server in DISPLAY takes a connection, or cannot be asked because libxcb is missing.

    A missing libxcb is not a missing display: the check of the system libraries names it.
    """
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:
        return True
    # https://xcb.freedesktop.org/PublicApi/: never returns NULL; errors are asked for; the block must be freed anyway.
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connection_has_error.argtypes = xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    connection = xcb.xcb_connect(environ["DISPLAY"].encode(), None)
    failed = xcb.xcb_connection_has_error(connection)
    xcb.xcb_disconnect(connection)
    return not failed


def wayland_answers(environ: Mapping[str, str]) -> bool:
    """Return whether the compositor named in WAYLAND_DISPLAY takes a connection."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(2)
            probe.connect(os.path.join(environ.get("XDG_RUNTIME_DIR", "/"), environ["WAYLAND_DISPLAY"]))
    except OSError:
        return False
    return True


Answers = Callable[[Mapping[str, str]], bool]


def find_display(
    environ: Mapping[str, str], system: str, x11: Answers = x11_answers, wayland: Answers = wayland_answers
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
    ways: list[tuple[Platform, str, bool, Answers]] = [
        ("wayland", "WAYLAND_DISPLAY", "xcb" not in names[:1], wayland),
        ("xcb", "DISPLAY", not names or "xcb" in names, x11),
    ]
    tried: list[tuple[Platform, str, bool]]
    tried = [(platform, name, answers(environ)) for platform, name, fits, answers in ways if environ.get(name) and fits]
    if any(answered for _, _, answered in tried):
        return Display(tuple(platform for platform, _, answered in tried if answered))
    if tried:
        return Display((), f"nothing answers at {' and '.join(f'{name}={environ[name]}' for _, name, _ in tried)}")
    if asked:
        return Display((), f"QT_QPA_PLATFORM={asked}, and no such display is set")
    return Display((), "neither DISPLAY nor WAYLAND_DISPLAY is set")
