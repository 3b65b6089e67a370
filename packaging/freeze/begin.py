"""What a frozen program does before anything else."""

from __future__ import annotations

import os

from engine.installation import run_asked

_ANEW = "PYINSTALLER_RESET_ENVIRONMENT"
"""Tells the start-up code of a process of ours to prepare its environment itself (PyInstaller's manual, common issues)."""

_SEARCH_PATHS = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LIBPATH")


def begin(arguments: list[str]) -> bool:
    """Give programs of others the user's own search path again; be the process that ``arguments`` ask for, if any.

    Returns whether they asked for one. PyInstaller's start-up code points the search path of libraries into the program's
    folder, which only this process is to use. It does so anew in every process of ours, once it is told not to take the
    environment for prepared because a process of ours has made it.
    """
    os.environ[_ANEW] = "1"
    for name in _SEARCH_PATHS:
        before = os.environ.pop(name + "_ORIG", None)
        if before is not None:
            os.environ[name] = before
        elif hasattr(os, "uname"):
            os.environ.pop(name, None)
    return run_asked(arguments)


def is_window(name: str) -> bool:
    """Return whether a program that was started under ``name`` is the window."""
    return name.lower().startswith("heddle-desktop")
