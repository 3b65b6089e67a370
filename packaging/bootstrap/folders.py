"""Folders of virtual environments: copied, removed, given another name."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable

from bootstrap import SetupError, marker


def python(folder: str) -> str:
    """Return the interpreter of the environment in ``folder``."""
    return os.path.join(scripts(folder), "python.exe" if os.name == "nt" else "python")


def scripts(folder: str) -> str:
    """Return where the environment in ``folder`` has its commands."""
    return os.path.join(folder, "Scripts" if os.name == "nt" else "bin")


def packages(folder: str) -> str:
    """Return the site-packages folder of the environment in ``folder``."""
    library = "Lib" if os.name == "nt" else f"lib/python{sys.version_info[0]}.{sys.version_info[1]}"
    return os.path.join(folder, library, "site-packages")


def copy(source: str, target: str) -> None:
    """Copy an environment by hard links, which take no room; where there are none, by copies. Without its marker.

    That is safe because pip replaces files and writes into none; ``rename_inside`` does the same.
    """

    def link(one: str, other: str) -> None:
        try:
            os.link(one, other)
        except FileNotFoundError:  # a temporary file of a program that runs
            pass
        except OSError:
            shutil.copy2(one, other)

    try:
        shutil.copytree(source, target, symlinks=True, copy_function=link, ignore=shutil.ignore_patterns(marker.FILE))
    except OSError as error:  # shutil.Error is one
        message = f"The environment .venv could not be copied: {error}"
        raise SetupError(message[:2000]) from error


def rename_inside(folder: str, *names: str, to: str) -> None:
    """Let commands in ``folder`` that say they lie in one of ``names`` (paths) say that they lie in ``to``."""
    pattern = b"(?:%s)(?![\\w-])" % b"|".join(re.escape(os.fsencode(name)) for name in names)
    places = [os.path.join(folder, "pyvenv.cfg"), *(entry.path for entry in os.scandir(scripts(folder)))]
    for path in places:
        if os.path.islink(path) or not os.path.isfile(path):
            continue
        with open(path, "rb") as file:
            old = file.read()
        new = re.sub(pattern, lambda _: os.fsencode(to), old)
        if new != old:
            with open(path + ".new", "wb") as file:
                file.write(new)
            shutil.copymode(path, path + ".new")
            os.replace(path + ".new", path)


def remove(folder: str) -> None:
    """Remove what lies at ``folder``, if anything; of a link, the link and not what it leads to. Raises OSError."""

    def writable(again: Callable[[str], object], path: str, _: object) -> None:
        os.chmod(path, stat.S_IRWXU)  # Windows does not remove read-only files
        again(path)

    if os.path.islink(folder) or os.path.isfile(folder):
        os.remove(folder)
    elif os.path.isdir(folder):
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(folder, marker.FILE))  # first: what is left half-way must not look whole
        shutil.rmtree(folder, onerror=writable)
