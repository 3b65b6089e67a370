"""Whether start.py finds a display, and the libraries that Qt needs to draw on it."""

from __future__ import annotations

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
    found = display.find_display(environ, system, lambda: True, lambda _: True)
    assert found.platforms == platforms
    assert bool(found.reason) != bool(found.platforms)


def test_a_display_where_nothing_answers_is_none_and_named() -> None:
    environ = {"DISPLAY": ":7", "WAYLAND_DISPLAY": "wayland-3"}
    found = display.find_display(environ, "linux", lambda: False, lambda _: False)
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


@pytest.mark.parametrize(
    ("os_release", "family"),
    [
        ('NAME="Debian GNU/Linux"\nID=debian\n', "debian"),
        ("ID=linuxmint\nID_LIKE='ubuntu debian'\n", "debian"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "fedora"),
        ("ID=fedora\nVERSION_ID=44\n", "fedora"),
        ("ID=arch\n", "other"),
        ("", "other"),
    ],
)
def test_the_family_of_the_system_decides_the_names(os_release: str, family: str) -> None:
    assert qt_libraries.distribution_family(os_release) == family


def test_the_packages_of_missing_libraries_are_named() -> None:
    missing = ["libxcb-icccm.so.4", "libxcb-keysyms.so.1", "libxcb-shm.so.0", "libxcb-sync.so.1"]
    assert qt_libraries.install_advice(missing, "ID=debian\n") == (
        "    sudo apt install libxcb-icccm4 libxcb-keysyms1 libxcb-shm0 libxcb-sync1"
    )
    assert qt_libraries.install_advice(missing, "ID=fedora\n") == (
        "    sudo dnf install xcb-util-wm xcb-util-keysyms libxcb"
    )
    elsewhere = qt_libraries.install_advice(missing, "ID=arch\n")
    assert "apt" in elsewhere
    assert "dnf" in elsewhere


def test_a_library_of_unknown_package_is_named_itself() -> None:
    assert "libnew.so.9" in qt_libraries.install_advice(["libnew.so.9"], "ID=debian\n")


def test_without_ldd_the_libraries_are_tried_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qt_libraries.shutil, "which", lambda name: None)
    monkeypatch.setattr(qt_libraries, "_loads", lambda name: name not in {"libxcb-icccm.so.4", "libEGL.so.1"})
    assert qt_libraries.missing_libraries("/nowhere", "core") == []
    assert qt_libraries.missing_libraries("/nowhere", "gui") == ["libEGL.so.1"]
    assert qt_libraries.missing_libraries("/nowhere", "xcb") == ["libEGL.so.1", "libxcb-icccm.so.4"]
