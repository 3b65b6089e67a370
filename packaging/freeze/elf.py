"""What programs and libraries of Linux need from others, as binutils' objdump tells it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from freeze import BuildError


@dataclass(frozen=True)
class Needs:
    """Of one file: the names of the libraries that it is linked with, and the newest glibc that it asks for."""

    path: str
    libraries: tuple[str, ...]
    glibc: tuple[int, ...]


def files(folder: str) -> Iterator[str]:
    """Yield the programs and libraries under ``folder``; links are left out."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            if os.path.islink(path):
                continue
            with open(path, "rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path


def needs(path: str) -> Needs:
    """Return what ``path`` needs; raises BuildError without objdump."""
    try:
        told = subprocess.run(["objdump", "-p", path], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildError(f"objdump (package binutils) cannot tell what {path} needs: {error}") from error
    versions = [tuple(map(int, found.split("."))) for found in re.findall(r"GLIBC_([0-9.]+)", told)]
    return Needs(path, tuple(re.findall(r"^\s+NEEDED\s+(\S+)", told, re.MULTILINE)), max(versions, default=(0,)))


def outside(folder: str) -> tuple[dict[str, set[str]], tuple[int, ...]]:
    """Return the libraries that ``folder`` needs and does not hold, each with the files that need it, and the glibc."""
    found = [needs(path) for path in files(folder)]
    held = {name for _, _, names in os.walk(folder) for name in names}
    missing: dict[str, set[str]] = {}
    for one in found:
        for library in one.libraries:
            if library not in held:
                missing.setdefault(library, set()).add(os.path.relpath(one.path, folder))
    return missing, max((one.glibc for one in found), default=(0,))


def orphans(folder: str, top: str) -> list[str]:
    """Return the libraries directly in ``top`` that nothing under ``folder`` needs, nor what only they need.

    PyInstaller puts the system's libraries there; they are left over when what needed them was cut. Libraries that are
    opened by name at run time (``dlopen``) are found by their own folder, and so are not among them.
    """
    known = {path: needs(path) for path in files(folder)}
    gone: list[str] = []
    while True:
        wanted = {library for one in known.values() for library in one.libraries}
        idle = [
            path
            for path in known
            if os.path.dirname(path) == top and ".so" in (name := os.path.basename(path)) and name not in wanted
            and not name.startswith("libpython")
        ]  # fmt: skip
        if not idle:
            return sorted(gone)
        gone += idle
        for path in idle:
            del known[path]
