"""Whether start.py finds a display, and the libraries that Qt needs to draw on it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from bootstrap import display, qt_libraries

# Displays


@pytest.mark.parametrize(
    ("environ", "system", "platforms"),
    [
        ({}, "linux", ()),
        ({}, "darwin", ("native",)),
        ({}, "win32", ("native",)),
        ({"DISPLAY": ":0"}, "linux", ("xcb",)),
        ({"DISPLAY": ""}, "linux", ()),
        ({"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"}, "linux", ("wayland", "xcb")),
        ({"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0", "QT_QPA_PLATFORM": "xcb"}, "linux", ("xcb",)),
        ({"QT_QPA_PLATFORM": "xcb"}, "linux", ()),
        ({"DISPLAY": ":0", "QT_QPA_PLATFORM": "wayland"}, "linux", ()),
        ({"QT_QPA_PLATFORM": "offscreen"}, "linux", ("chosen",)),
        ({"QT_QPA_PLATFORM": "vnc:size=800x600"}, "linux", ("chosen",)),
    ],
)
def test_a_display_is_found_by_the_environment(environ: dict[str, str], system: str, platforms: tuple[str]) -> None:
    found = display.find_display(environ, system, lambda _: True, lambda _: True)
    assert found.platforms == platforms
    assert bool(found.reason) != bool(found.platforms)


def test_a_display_where_nothing_answers_is_none_and_named() -> None:
    environ = {"DISPLAY": ":7", "WAYLAND_DISPLAY": "wayland-3"}
    found = display.find_display(environ, "linux", lambda _: False, lambda _: False)
    assert found.platforms == ()
    assert "DISPLAY=:7" in found.reason
    assert "WAYLAND_DISPLAY=wayland-3" in found.reason


@pytest.mark.skipif(sys.platform == "win32", reason="Wayland is a matter of Linux")
def test_a_compositor_that_is_gone_does_not_answer(tmp_path: Path) -> None:
    assert not display.wayland_answers({"XDG_RUNTIME_DIR": str(tmp_path), "WAYLAND_DISPLAY": "wayland-0"})


# System libraries


LDD_OUTPUT = """\
/x/PySide6/QtWidgets.abi3.so:
\tlinux-vdso.so.1 (0x00007ffd)
\tlibEGL.so.1 => /lib/x86_64-linux-gnu/libEGL.so.1 (0x00007f)
\tlibxcb-icccm.so.4 => not found
\tlibQt6Core.so.6 => /x/PySide6/Qt/lib/libQt6Core.so.6 (0x00007f)
/x/PySide6/Qt/plugins/platforms/libqxcb.so:
\tlibxcb-icccm.so.4 => not found
\tlibxcb-keysyms.so.1 => not found
"""


def test_missing_libraries_are_read_from_ldd_once_each() -> None:
    assert qt_libraries.missing_in_ldd_output(LDD_OUTPUT) == ["libxcb-icccm.so.4", "libxcb-keysyms.so.1"]


def test_the_message_names_the_libraries_and_the_commands_of_two_families() -> None:
    message = qt_libraries.lack_message(["libxcb-icccm.so.4", "libnew.so.9"])
    assert "libxcb-icccm.so.4, libnew.so.9" in message
    debian, fedora = message.splitlines()[2:]
    assert re.match(r"    sudo apt install [\w. +-]*\blibxcb-icccm4\b", debian)
    assert re.match(r"    sudo dnf install [\w. +-]*\bxcb-util-wm\b", fedora)


def test_without_ldd_nothing_is_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qt_libraries.shutil, "which", lambda name: None)
    assert qt_libraries.missing_libraries("/nowhere", "xcb") == []
