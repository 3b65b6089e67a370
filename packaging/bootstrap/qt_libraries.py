"""The system libraries that Qt's wheels leave to Linux, and the packages that carry them."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from typing import Literal

Part = Literal["core", "gui", "xcb", "wayland"]

_BINARIES: dict[Part, tuple[str, ...]] = {
    "core": ("QtCore.abi3.so",),
    "gui": ("QtWidgets.abi3.so", "Qt/plugins/platforms/libqoffscreen.so"),
    "xcb": ("QtWidgets.abi3.so", "Qt/plugins/platforms/libqxcb.so"),
    "wayland": ("QtWidgets.abi3.so", "Qt/plugins/platforms/libqwayland.so"),
}
"""Files inside the folder PySide6 whose libraries have to be there for each part."""

# library: (the part that first needs it, Debian and Ubuntu package, Fedora package)
_PACKAGES: dict[str, tuple[Part, str, str]] = {
    "libglib-2.0.so.0": ("core", "libglib2.0-0", "glib2"),
    "libgthread-2.0.so.0": ("core", "libglib2.0-0", "glib2"),
    "libzstd.so.1": ("core", "libzstd1", "libzstd"),
    "libz.so.1": ("core", "zlib1g", "zlib"),
    "libpcre2-8.so.0": ("core", "libpcre2-8-0", "pcre2"),
    "libstdc++.so.6": ("core", "libstdc++6", "libstdc++"),
    "libgcc_s.so.1": ("core", "libgcc-s1", "libgcc"),
    "libEGL.so.1": ("gui", "libegl1", "libglvnd-egl"),
    "libGL.so.1": ("gui", "libgl1", "libglvnd-glx"),
    "libGLX.so.0": ("gui", "libglx0", "libglvnd-glx"),
    "libGLdispatch.so.0": ("gui", "libglvnd0", "libglvnd"),
    "libOpenGL.so.0": ("gui", "libopengl0", "libglvnd-opengl"),
    "libxkbcommon.so.0": ("gui", "libxkbcommon0", "libxkbcommon"),
    "libdbus-1.so.3": ("gui", "libdbus-1-3", "dbus-libs"),
    "libfontconfig.so.1": ("gui", "libfontconfig1", "fontconfig"),
    "libfreetype.so.6": ("gui", "libfreetype6", "freetype"),
    "libpng16.so.16": ("gui", "libpng16-16", "libpng"),
    "libbrotlidec.so.1": ("gui", "libbrotli1", "libbrotli"),
    "libexpat.so.1": ("gui", "libexpat1", "expat"),
    "libsystemd.so.0": ("gui", "libsystemd0", "systemd-libs"),
    "libX11.so.6": ("gui", "libx11-6", "libX11"),
    "libxcb.so.1": ("gui", "libxcb1", "libxcb"),
    "libXau.so.6": ("gui", "libxau6", "libXau"),
    "libXdmcp.so.6": ("gui", "libxdmcp6", "libXdmcp"),
    "libX11-xcb.so.1": ("xcb", "libx11-xcb1", "libX11-xcb"),
    "libxkbcommon-x11.so.0": ("xcb", "libxkbcommon-x11-0", "libxkbcommon-x11"),
    "libxcb-cursor.so.0": ("xcb", "libxcb-cursor0", "xcb-util-cursor"),
    "libxcb-icccm.so.4": ("xcb", "libxcb-icccm4", "xcb-util-wm"),
    "libxcb-util.so.1": ("xcb", "libxcb-util1", "xcb-util"),
    "libxcb-image.so.0": ("xcb", "libxcb-image0", "xcb-util-image"),
    "libxcb-keysyms.so.1": ("xcb", "libxcb-keysyms1", "xcb-util-keysyms"),
    "libxcb-render-util.so.0": ("xcb", "libxcb-render-util0", "xcb-util-renderutil"),
    "libxcb-randr.so.0": ("xcb", "libxcb-randr0", "libxcb"),
    "libxcb-render.so.0": ("xcb", "libxcb-render0", "libxcb"),
    "libxcb-shape.so.0": ("xcb", "libxcb-shape0", "libxcb"),
    "libxcb-shm.so.0": ("xcb", "libxcb-shm0", "libxcb"),
    "libxcb-sync.so.1": ("xcb", "libxcb-sync1", "libxcb"),
    "libxcb-xfixes.so.0": ("xcb", "libxcb-xfixes0", "libxcb"),
    "libxcb-xkb.so.1": ("xcb", "libxcb-xkb1", "libxcb"),
    "libxcb-xinerama.so.0": ("xcb", "libxcb-xinerama0", "libxcb"),
    "libwayland-client.so.0": ("wayland", "libwayland-client0", "libwayland-client"),
    "libwayland-cursor.so.0": ("wayland", "libwayland-cursor0", "libwayland-cursor"),
    "libwayland-egl.so.1": ("wayland", "libwayland-egl1", "libwayland-egl"),
}

_INCLUDED: dict[Part, tuple[Part, ...]] = {
    "core": ("core",),
    "gui": ("core", "gui"),
    "xcb": ("core", "gui", "xcb"),
    "wayland": ("core", "gui", "wayland"),
}
"""Each part with those that it stands on."""


def missing_in_ldd_output(output: str) -> list[str]:
    """Return the libraries that ldd did not find, each once, in the order of its lines."""
    return list(dict.fromkeys(re.findall(r"^\s*(\S+) => not found", output, re.MULTILINE)))


def missing_libraries(pyside_folder: str, part: Part) -> list[str]:
    """Return the names of the system libraries that ``part`` of the Qt in ``pyside_folder`` lacks on this Linux."""
    files = [os.path.join(pyside_folder, name) for name in _BINARIES[part]]
    ldd = shutil.which("ldd")
    if ldd:
        answer = subprocess.run([ldd, *files], capture_output=True, text=True, errors="replace", check=False)
        if " => " in answer.stdout:
            return missing_in_ldd_output(answer.stdout)
    wanted = [name for name, (needed_by, _, _) in _PACKAGES.items() if needed_by in _INCLUDED[part]]
    return [name for name in wanted if not _loads(name)]


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def distribution_family(os_release: str) -> Literal["debian", "fedora", "other"]:
    """Return which package names this system knows, from the text of /etc/os-release."""
    found = re.findall(r"^(?:ID|ID_LIKE)=(.*)$", os_release, re.MULTILINE)
    words = " ".join(found).replace('"', " ").replace("'", " ").lower().split()
    if {"debian", "ubuntu"} & set(words):
        return "debian"
    if {"fedora", "rhel", "centos"} & set(words):
        return "fedora"
    return "other"


def install_advice(libraries: list[str], os_release: str) -> str:
    """Return what to do about the missing ``libraries``: the commands that install their packages, one a line."""
    known = [name for name in libraries if name in _PACKAGES]
    debian = "sudo apt install " + " ".join(dict.fromkeys(_PACKAGES[name][1] for name in known))
    fedora = "sudo dnf install " + " ".join(dict.fromkeys(_PACKAGES[name][2] for name in known))
    family = distribution_family(os_release)
    lines: list[str] = []
    if known and family in {"debian", "other"}:
        lines.append("    " + debian + ("" if family == "debian" else "    (Debian, Ubuntu)"))
    if known and family in {"fedora", "other"}:
        lines.append("    " + fedora + ("" if family == "fedora" else "    (Fedora)"))
    unknown = [name for name in libraries if name not in _PACKAGES]
    if unknown:
        lines.append("    and whatever package of your system holds " + ", ".join(unknown))
    return "\n".join(lines)


def read_os_release() -> str:
    """Return the text of /etc/os-release, or nothing where there is none."""
    try:
        with open("/etc/os-release", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
