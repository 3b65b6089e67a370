"""How this copy of Heddle was installed: from its source, run by a Python, or frozen into a program of its own.

A frozen program has no Python beside it and no source tree. A process of ours is then the same executable, told which
module to be by its first argument.
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys

ASKED = "--module"
"""The argument of a frozen program that makes it be one of our modules."""

PROCESSES = (
    "engine.server.stdio",
    "engine.models.probe_child",
    "engine.cli.guard_child",
    "engine.bench.generate_ours",
    "engine.bench.generate_peer",
    "engine.bench.limits",
    "engine.bench.long_slot",
    "engine.bench.side",
)
"""The modules that are run as processes of their own; a frozen program is none other."""


def frozen() -> bool:
    """Return whether this process is a frozen program."""
    return bool(getattr(sys, "frozen", False))


def root() -> str:
    """Return the folder that holds the package ``engine``."""
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def process_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs ``module``, one of ``PROCESSES``, with ``arguments`` in a process of its own.

    From source it is to be run with ``module_path`` as its PYTHONPATH. ``-P`` keeps the current folder, which may be
    anybody's, off the module path.
    """
    if frozen():
        return [sys.executable, ASKED, module, *arguments]
    return [sys.executable, "-P", "-m", module, *arguments]


def module_path(earlier: str | None) -> str:
    """Return the PYTHONPATH with which a process of ours finds the package ``engine``; ``earlier`` is what it was."""
    return os.pathsep.join(filter(None, (root(), earlier)))


def same_command() -> list[str]:
    """Return the command that started this process."""
    return [sys.executable, *sys.argv[1:]] if frozen() else [sys.executable, *sys.orig_argv[1:]]


def run_asked(arguments: list[str]) -> bool:
    """Be the module that a frozen program was asked to be; False where ``arguments`` ask for none.

    Exits with 2 for a module that is no process of ours.
    """
    if arguments[:1] != [ASKED]:
        return False
    module = arguments[1] if len(arguments) > 1 else ""
    if module not in PROCESSES:
        sys.stderr.write(f"There is no process {module!r} of Heddle.\n")
        raise SystemExit(2)
    sys.argv = [module, *arguments[2:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    return True


def package_folders(package: str) -> list[str]:
    """Return the folders of an installed package, which is never imported; none where it is missing."""
    if frozen():
        folder = os.path.join(root(), package)
        return [folder] if os.path.isdir(folder) else []
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:
        spec = None
    return list(spec.submodule_search_locations or []) if spec else []


def repair() -> str:
    """Return what a user does about a part of the installation that is missing or damaged, as the end of a sentence."""
    return "Install Heddle again" if frozen() else "Run start.py again"
