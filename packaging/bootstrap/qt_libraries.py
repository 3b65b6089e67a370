"""The system libraries that Qt's wheels leave to Linux, and the packages that carry them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import Literal

Part = Literal["core", "gui", "xcb", "wayland"]

_FILES: dict[Part, tuple[str, ...]] = {
    "core": ("QtCore.abi3.so",),
    "gui": ("QtWidgets.abi3.so", "Qt/plugins/platforms/libqoffscreen.so"),
    "xcb": ("QtWidgets.abi3.so", "Qt/plugins/platforms/libqxcb.so"),
    "wayland": ("QtWidgets.abi3.so", "Qt/plugins/platforms/libqwayland.so"),
}
"""Files inside the folder PySide6 whose libraries have to be there for each part."""

# One line that brings all of them, each with what it depends on.
_DEBIAN = """libegl1 libgl1 libopengl0 libglib2.0-0 libdbus-1-3 libfontconfig1 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4
 libxcb-image0 libxcb-keysyms1 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libwayland-cursor0 libwayland-egl1"""
_FEDORA = """libglvnd-egl libglvnd-glx libglvnd-opengl glib2 dbus-libs fontconfig libxkbcommon-x11 xcb-util-cursor xcb-util-wm
 xcb-util-image xcb-util-keysyms xcb-util-renderutil libwayland-cursor libwayland-egl"""


def missing_in_ldd_output(output: str) -> list[str]:
    """Return the libraries that ldd did not find, each once, in the order of its lines."""
    return list(dict.fromkeys(re.findall(r"^\s*(\S+) => not found", output, re.MULTILINE)))


def missing_libraries(pyside_folder: str, part: Part) -> list[str]:
    """Return the system libraries that ``part`` of the Qt in ``pyside_folder`` lacks; none where nobody can tell."""
    ldd = shutil.which("ldd")
    if ldd is None:
        return []
    files = [os.path.join(pyside_folder, name) for name in _FILES[part]]
    answer = subprocess.run([ldd, *files], capture_output=True, text=True, errors="replace", check=False)
    return missing_in_ldd_output(answer.stdout)


def lack_message(libraries: list[str]) -> str:
    """Return what to tell the user about the missing ``libraries``."""
    debian, fedora = _DEBIAN.replace("\n", ""), _FEDORA.replace("\n", "")
    return (
        f"Qt needs system libraries that this machine lacks: {', '.join(libraries)}\nInstall them with:\n"
        f"    sudo apt install {debian}    (Debian, Ubuntu)\n    sudo dnf install {fedora}    (Fedora)"
    )
