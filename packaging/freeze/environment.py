"""The throw-away environment that the program is frozen from: what it needs, pinned, and PyInstaller."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys

from bootstrap import requirements, torch_build

from freeze import BuildError
from freeze.place import Place

PYINSTALLER = ("pyinstaller", "pyinstaller-hooks-contrib")
"""Freezes Python programs (GPL with an exception that lets what it freezes have any licence)."""


def ensure(place: Place) -> None:
    """Make the environment, if what it is to hold has changed; raises BuildError where a package cannot be installed."""
    wanted = requirements.load(place.root)
    pins = os.path.join(place.root, "packaging", "freeze", "constraints.txt")
    with open(pins, encoding="utf-8") as file:
        key = hashlib.sha256(f"{sys.version} {wanted.key} {PYINSTALLER} {file.read()}".encode()).hexdigest()
    marker = os.path.join(place.environment, ".complete")
    if os.path.isfile(marker):
        with open(marker, encoding="ascii") as file:
            if file.read() == key:
                return
    print("making the environment ...", flush=True)
    shutil.rmtree(place.environment, ignore_errors=True)
    os.makedirs(place.work, exist_ok=True)
    _run([sys.executable, "-m", "venv", place.environment])
    pip = [place.python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--only-binary", ":all:"]
    _run([*pip, "--no-deps", "--require-hashes", "--requirement", wanted.program])
    ways = torch_build.attempts(sys.platform, "cpu", wanted.torch_version)
    if sys.platform == "linux":
        ways = ways[:-1]  # not the last way, the build that carries gigabytes of CUDA
    if not any(_try([*pip, "--no-deps", *way.options, way.requirement]) for way in ways):
        raise BuildError(f"No package index offers the CPU build of torch {wanted.torch_version}.")
    _run([*pip, "--constraint", pins, *PYINSTALLER])
    with open(marker, "w", encoding="ascii") as file:
        file.write(key)


def _try(command: list[str]) -> bool:
    return subprocess.run(command, check=False).returncode == 0


def _run(command: list[str]) -> None:
    if not _try(command):
        raise BuildError(f"This did not work: {' '.join(command)}")
