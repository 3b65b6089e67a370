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
    """One way to get the build; the next one is tried when no index offers it."""

    requirement: str
    options: tuple[str, ...] = ()
    note: str = ""
    """For the user, when this way is taken."""


def attempts(system: str, accelerator: Accelerator, version: str) -> tuple[Attempt, ...]:
    """Return the ways to install torch ``version``, best first; ``system`` is a value of ``sys.platform``.

    The plain release on PyPI is the CUDA build on Linux and the CPU build on Windows and macOS. The other one carries
    a local version (``+cpu``, ``+cu130``). ``===`` asks for the plain one even where a build with a local version,
    which pip would rank higher, is offered too (PEP 440, arbitrary equality).
    """
    plain_exactly = Attempt(f"torch==={version}")
    plain = Attempt(f"torch=={version}")
    if system == "linux" and accelerator == "cpu":
        small = f"torch=={version}+cpu"
        return (
            Attempt(small),
            Attempt(small, ("--index-url", CPU_INDEX, *_PATIENCE)),
            Attempt(
                plain.requirement,
                note=f"{CPU_INDEX} cannot be reached; installing the plain build of PyTorch, which brings several GB "
                "of CUDA libraries along.",
            ),
        )
    if system == "linux":
        return (plain_exactly, plain)
    if system == "win32" and accelerator == "cuda":
        return (
            Attempt(f"torch=={version}+cu130"),
            Attempt(f"torch=={version}+cu130", ("--index-url", CUDA_INDEX, *_PATIENCE)),
            Attempt(plain.requirement, note=f"{CUDA_INDEX} cannot be reached; installing the CPU build of PyTorch."),
        )
    if system == "darwin" and accelerator == "cuda":
        return (Attempt(plain.requirement, note="macOS has no CUDA; its one build of PyTorch uses Metal."),)
    return (plain_exactly, plain)


def default_accelerator(system: str = sys.platform) -> Accelerator:
    """Return ``cuda`` where an NVIDIA driver answers, else ``cpu``."""
    if system == "darwin":
        return "cpu"
    if system == "linux" and os.path.exists("/proc/driver/nvidia/version"):
        return "cuda"
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "cpu"
    try:
        answer = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "cpu"
    return "cuda" if answer.returncode == 0 and "GPU" in answer.stdout else "cpu"
