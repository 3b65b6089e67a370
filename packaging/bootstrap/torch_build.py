"""Which build of PyTorch to install, and where from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

from bootstrap.arguments import Accelerator

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CUDA_INDEX = "https://download.pytorch.org/whl/cu130"
"""PyTorch's own index of wheels for CUDA 13.0, the release that torch 2.13 names in its requirements on Linux."""

# These indexes are asked only when the user's own have no such build, and must not hold up a machine that cannot
# reach them: 15 s and one retry instead of pip's settings.
_PATIENCE = ("--timeout", "15", "--retries", "1")

CUDA_PACKAGES = ("nvidia-", "cuda-toolkit", "cuda-bindings", "cuda-pathfinder", "triton")
"""Beginnings of the names of packages that only the CUDA build needs."""


@dataclass(frozen=True)
class Attempt:
    """One way to get the build, with a note for the user; the next one is tried when no index offers it."""

    requirement: str
    options: tuple[str, ...] = ()
    note: str = ""


def attempts(system: str, accelerator: Accelerator, version: str) -> tuple[Attempt, ...]:
    """Return the ways to install torch ``version``, best first; ``system`` is a value of ``sys.platform``.

    The plain release on PyPI is the CUDA build on Linux and the CPU build on Windows and macOS. The other one carries
    a local version (``+cpu``, ``+cu130``). ``===`` asks for the plain one even where a build with a local version,
    which pip would rank higher, is offered too (PEP 440, arbitrary equality).
    """
    plain = f"torch=={version}"
    special = {("linux", "cpu"): ("+cpu", CPU_INDEX), ("win32", "cuda"): ("+cu130", CUDA_INDEX)}
    if (system, accelerator) in special:
        local, index = special[system, accelerator]
        note = f"{index} cannot be reached; installing the plain build of PyTorch"
        note += ", which brings several GB of CUDA libraries along." if system == "linux" else ", for the CPU."
        own = Attempt(plain + local)
        return (own, Attempt(plain + local, ("--index-url", index, *_PATIENCE)), Attempt(plain, note=note))
    if (system, accelerator) == ("darwin", "cuda"):
        return (Attempt(plain, note="macOS has no CUDA; its one build of PyTorch uses Metal."),)
    return (Attempt(f"torch==={version}"), Attempt(plain))


def default_accelerator(system: str = sys.platform) -> Accelerator:
    """Return ``cuda`` where an NVIDIA driver answers, else ``cpu``."""
    if system == "linux" and os.path.exists("/proc/driver/nvidia/version"):
        return "cuda"
    tool = shutil.which("nvidia-smi")
    if tool is None or system == "darwin":
        return "cpu"
    try:
        answer = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "cpu"
    return "cuda" if answer.returncode == 0 and "GPU" in answer.stdout else "cpu"
