"""How many cores a process of Heddle may use: engine and window alike."""

from __future__ import annotations

import contextlib
import os

import psutil


def core_count() -> int:
    """Return how many cores this process may really use: affinity, container quota and physical cores considered."""
    cores = os.cpu_count() or 1
    with contextlib.suppress(AttributeError, OSError):
        cores = min(cores, len(os.sched_getaffinity(0)))
    physical = psutil.cpu_count(logical=False)
    if physical:
        cores = min(cores, physical)
    # A container's quota, such as "150000 100000": one and a half cores. Rounded up: a worker can use a part of a core.
    with contextlib.suppress(OSError, ValueError), open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
        quota, period = file.read().split()
        if quota != "max":
            cores = min(cores, -(-int(quota) // int(period)))
    return max(1, cores)
