"""What this machine is: cores, instruction set, devices, memory, versions, and the plan that suits it unmeasured."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import sys
from dataclasses import replace

import psutil

from engine import __version__
from engine.api.cores import core_count
from engine.api.facts import Device, MachineFacts
from engine.api.plan import Plan

_PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "PySide6-Essentials", "pyqtgraph")

_ONEDNN_CAPS = {
    "SSE41": 0,
    "AVX": 0,
    "AVX2": 1,
    "AVX2_VNNI": 1,
    "AVX2_VNNI_2": 1,
    "AVX512_CORE": 2,
    "AVX512_CORE_VNNI": 2,
}
"""Values of ONEDNN_MAX_CPU_ISA below AVX512_CORE_BF16, which leave no bfloat16 instructions to oneDNN."""


def memory_available() -> int:
    """Return the bytes that can be taken now without swapping, a container's limit considered."""
    available = psutil.virtual_memory().available
    with contextlib.suppress(OSError, ValueError):
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
            limit = file.read().strip()
        if limit != "max":
            with open("/sys/fs/cgroup/memory.current", encoding="ascii") as file:
                available = min(available, max(0, int(limit) - int(file.read())))
    return available


def instruction_set() -> str:
    """Return the best vector instructions that the CPU offers, by name; needs torch for the answer on x86."""
    import torch

    found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    names = (
        ("amx_bf16", "AMX"),
        ("avx512_bf16", "AVX-512 BF16"),
        ("avx512_vnni", "AVX-512 VNNI"),
        ("avx512_f", "AVX-512"),
        ("avx2", "AVX2"),
        ("sve2", "SVE2"),
        ("neon", "NEON"),
    )
    for key, name in names:
        if found.get(key):
            return name
    return torch.backends.cpu.get_cpu_capability()


def cpu_has_fast_bf16() -> bool:
    """Tell whether bfloat16 matrix work beats float32 here: AVX512-BF16 or AMX, and oneDNN may use them.

    Without those instructions bfloat16 is emulated and slower than float32 (law 10 of the house).
    """
    import torch

    if _ONEDNN_CAPS.get(os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()) is not None:
        return False
    found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return torch.backends.mkldnn.is_available() and bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def devices() -> tuple[Device, ...]:
    """Return the devices that workers can run on, the CPU first."""
    import torch

    memory = psutil.virtual_memory()
    name = platform.processor() or platform.machine()
    found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    result = [Device("cpu", str(found.get("cpu_name") or name), memory.total, memory_available(), ("float32", "bf16"))]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            free, total = torch.cuda.mem_get_info(index)
            formats = ("bf16", "float32") if facts.major >= 8 else ("float32",)
            result.append(Device(f"cuda:{index}", facts.name, total, free, formats))
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        for index in range(torch.xpu.device_count()):
            facts = torch.xpu.get_device_properties(index)
            result.append(
                Device(f"xpu:{index}", facts.name, facts.total_memory, facts.total_memory, ("bf16", "float32"))
            )
    if torch.backends.mps.is_available():
        result.append(Device("mps", "Apple GPU", memory.total, memory_available(), ("float32", "bf16")))
    return tuple(result)


def memory_free(device: str) -> int:
    """Return the bytes that can be taken on ``device`` now."""
    if device == "cpu":
        return memory_available()
    return next((found.memory_free for found in devices() if found.id == device), 0)


def resolve_dtype(dtype: str, device: str) -> str:
    """Return ``float32`` or ``bf16`` for a plan's number format; ``auto`` takes what is fast on the device."""
    if dtype != "auto":
        return dtype
    if device == "cpu":
        return "bf16" if cpu_has_fast_bf16() else "float32"
    return next((d.dtypes[0] for d in devices() if d.id == device), "float32")


def number_dtype(dtype: str) -> str:
    """Return the format, ``float32`` or ``bf16``, that a model of these weights computes in between its linears."""
    return dtype if dtype in ("float32", "bf16") else resolve_dtype("auto", "cpu")


def resolve_plan(plan: Plan, *, worker_limit: int | None = None) -> Plan:
    """Return the plan with nothing left open.

    Law 13: W = min(cores, step time / GIL-held time per step) and T = cores // W; ``worker_limit`` is that quotient
    where the loaded model has been measured. A GPU gets one worker unless told otherwise: its queue is serial.
    """
    cores = core_count()
    if plan.device != "cpu":
        return replace(
            plan, workers=plan.workers or 1, threads=plan.threads or 1, dtype=resolve_dtype(plan.dtype, plan.device)
        )
    threads = plan.threads
    workers = plan.workers
    if not workers:
        workers = max(1, cores // threads) if threads else max(1, min(cores, worker_limit or cores))
    return replace(
        plan, workers=workers, threads=threads or max(1, cores // workers), dtype=resolve_dtype(plan.dtype, "cpu")
    )


def versions() -> dict[str, str]:
    """Return the versions that decide what Heddle does here; a package that is missing is left out."""
    found = {"heddle": __version__, "python": platform.python_version(), "system": platform.platform(terse=True)}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def facts() -> MachineFacts:
    """Return everything that is known of this machine; imports torch."""
    return MachineFacts(
        cores=core_count(),
        instruction_set=instruction_set(),
        memory_total=psutil.virtual_memory().total,
        devices=devices(),
        default_plan=resolve_plan(Plan()),
        versions=versions(),
    )


def tune_allocator() -> None:
    """Keep freed memory of the C library's heap for the next batch instead of giving it back page by page.

    Activations of some megabytes are allocated and freed for every operation; with glibc's defaults each of them is
    mapped and faulted in anew. Work B gains 5 to 8 % (measured, 2 workers, bf16). Linux with glibc only.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # M_* of malloc.h
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((mmap_threshold, 32 << 20), (trim_threshold, 1 << 30), (top_pad, 64 << 20)):
            mallopt(option, value)


def give_memory_back() -> None:
    """Hand the heap's free pages to the system, after a model was unloaded. Linux with glibc only."""
    if sys.platform.startswith("linux"):
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


class HeapKeeper:
    """Gives freed memory back after every so many numbers that were laid out anew and stay.

    What is freed between blocks that stay is often too small for what comes next, so the heap would only grow: reading
    1.5 billion weights as int8 left 0.1 to 1.2 GB in it that nobody used (measured), more in some runs than in others.
    """

    EVERY = 1 << 26
    """Numbers between two times."""

    def __init__(self) -> None:
        """Begin to count."""
        self._numbers = 0

    def laid_out(self, numbers: int) -> bool:
        """Count ``numbers``, and give memory back where it is time; returns whether it was."""
        self._numbers += numbers
        if self._numbers <= self.EVERY:
            return False
        give_memory_back()
        self._numbers = 0
        return True
