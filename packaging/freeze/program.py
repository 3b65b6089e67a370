"""The frozen program: PyInstaller's folder, less what nobody needs, with the licences of all that is inside."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase

from freeze import BuildError, elf, sizes
from freeze.bill import write_bill
from freeze.cuts import STRIPPED
from freeze.place import Place
from freeze.share import draw_icons

SOURCES = (
    "engine",
    "gui",
    "assets",
    "pyproject.toml",
    "LICENSE",
    "packaging/constraints.txt",
    "packaging/requirements/program.txt",
    *(
        f"packaging/freeze/{name}"
        for name in ("heddle.py", "heddle.spec", "begin.py", "cuts.py", "docstrings.py", "program.py", "bill.py")
    ),
)
"""What the program is made of; it is made again when something of it has changed."""


def make(place: Place) -> None:
    """Make the program's folder, or keep one that is made of the same; raises BuildError where that does not work."""
    key, marker = digest(place.root), os.path.join(place.work, "program.key")
    if os.path.isdir(place.program) and os.path.isfile(marker):
        with open(marker, encoding="ascii") as file:
            if file.read() == key:
                print("the program is up to date", flush=True)
                return
    if os.path.isfile(marker):
        os.remove(marker)
    print("freezing (takes minutes) ...", flush=True)
    draw_icons(place, os.path.join(place.work, "icons"))
    _freeze(place)
    if sys.platform == "linux":
        _shrink(place)
    write_bill(place)
    with open(marker, "w", encoding="ascii") as file:
        file.write(key)


def tell_sizes(place: Place) -> None:
    """Print what takes the most; raises BuildError where the program is too large."""
    for name, size in [
        *sizes.largest(place.inside),
        *((n, s) for n, s in sizes.largest(place.program) if n != "_internal"),
    ]:
        print(f"  {size / 1e6:8.1f} MB  {name}")
    sizes.check("the program's folder", sizes.size_of(place.program), sizes.UNPACKED)


def digest(root: str) -> str:
    """Return what stands for the contents of all sources and the Python that freezes them."""
    found = hashlib.sha256(sys.version.encode())
    for path in _files(root):
        found.update(os.path.relpath(path, root).encode() + b"\0")
        with open(path, "rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()


def _files(root: str) -> Iterator[str]:
    for source in SOURCES:
        place = os.path.join(root, source)
        if os.path.isfile(place):
            yield place
        for folder, _, names in sorted(os.walk(place)):
            if "__pycache__" not in folder:
                yield from (os.path.join(folder, name) for name in sorted(names))


def _freeze(place: Place) -> None:
    shutil.rmtree(place.program, ignore_errors=True)
    shutil.rmtree(os.path.join(place.work, "work"), ignore_errors=True)  # what is compiled is kept there by names alone
    paths = [place.root, os.path.join(place.root, "packaging")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"}
    command = [place.python, "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN"]
    command += ["--distpath", os.path.dirname(place.program), "--workpath", os.path.join(place.work, "work")]
    spec = os.path.join(place.root, "packaging", "freeze", "heddle.spec")
    if subprocess.run([*command, spec], env=environment, check=False).returncode != 0:
        raise BuildError("PyInstaller could not freeze the program; what it said stands above.")


def _shrink(place: Place) -> None:
    """Take out the system's libraries that only cut files needed, and symbols for debuggers; name the window."""
    for path in elf.orphans(place.program, place.inside):
        os.remove(path)
    for folder, _, names in os.walk(place.program):
        for path in (os.path.join(folder, name) for name in names):
            if os.path.islink(path) and not os.path.exists(path):
                os.remove(path)
    for path in list(elf.files(place.inside)):
        inside = os.path.relpath(path, place.inside)
        if any(fnmatchcase(inside, pattern) for pattern in STRIPPED):
            subprocess.run(["strip", "--strip-unneeded", path], check=True)
    window = os.path.join(place.program, "heddle-desktop")
    if not os.path.lexists(window):
        os.symlink("heddle", window)
