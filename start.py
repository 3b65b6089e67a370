#!/usr/bin/env python3
"""Heddle on a fresh machine: this file, Python 3.11 or newer and a package index are all it takes.

    python3 start.py [PATHS...]         install what is missing, then open the window, with files and folders on its pile;
                                        --data-dir FOLDER keeps settings, jobs and logs there; --sample opens the sample
    python3 start.py test [ARGS...]     run every check and test; with ARGS, only pytest with these arguments
    python3 start.py heddle [ARGS...]   the command line, e.g.  heddle run embed FOLDER --out rows.jsonl
    python3 start.py python [ARGS...]   the Python of the environment

Before the command:  --accelerator cpu|cuda  chooses the build of PyTorch where both exist; the choice is remembered.

Everything goes into the folder .venv beside this file; deleting that folder undoes it. Where there is no display,
the first form runs the sample pile without a window and prints its table.
"""

# This file must parse on old Pythons, so that it can tell their users what is wrong; the real work is in
# packaging/bootstrap, which is imported only once the version is known to be right.

from __future__ import annotations

import os
import shutil
import subprocess
import sys

OLDEST = (3, 11)
NEWEST = (3, 14)  # the newest Python for which the pinned torch has wheels


def version_problem(version: tuple[int, int], installed: list[str]) -> str | None:
    """Return what to tell the user of a Python that cannot run Heddle, or None if it can.

    ``version`` is (major, minor); ``installed`` lists commands of suitable Pythons found on this machine.
    """
    this = f"{version[0]}.{version[1]}"
    oldest, newest = f"{OLDEST[0]}.{OLDEST[1]}", f"{NEWEST[0]}.{NEWEST[1]}"
    if version < OLDEST:
        problem = f"Heddle needs Python {oldest} or newer; this is {this}"
    elif version > NEWEST:
        problem = f"Heddle's pinned packages are built for Python {oldest} to {newest}; this is {this}"
    else:
        return None
    if installed:
        return f"{problem}\nThis machine has one that fits:\n    {installed[0]} start.py"
    return problem + "\nInstall one from https://www.python.org/downloads/ or your system's packages, then start again."


def suitable_pythons() -> list[str]:
    """Return the commands of suitable Pythons on the search path, newest first, each of them tried."""
    names = [f"python3.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    return [name for name in names if _runs(name)]


def _runs(name: str) -> bool:
    """Whether the command is a Python, not just a name that some version manager keeps for one."""
    path = shutil.which(name)
    if path is None:
        return False
    try:
        return subprocess.call([path, "-c", ""], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def main() -> int:
    """Run the command that the arguments name and return its exit code."""
    version = (sys.version_info[0], sys.version_info[1])
    if version < OLDEST or version > NEWEST:
        print(version_problem(version, suitable_pythons()), file=sys.stderr)
        return 1
    root = os.path.dirname(os.path.abspath(__file__))
    # Compiled once and kept, whatever the environment says: every later start is quicker for it.
    sys.dont_write_bytecode = False
    sys.path.insert(0, os.path.join(root, "packaging"))
    from bootstrap import commands

    return commands.main(root, sys.argv[1:], help_text=__doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
