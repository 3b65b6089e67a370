"""Weights that lie in a file mapped into memory: their pages are let go after use, and what stays gets memory of its own.

A page of a mapped file counts as the process's memory once it was read, and a file that is cut short while it is mapped
ends the process with SIGBUS.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import sys
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_DONTNEED = 4
"""MADV_DONTNEED of Linux's sys/mman.h."""


def let_go(tensor: torch.Tensor) -> None:
    """Drop the pages of a tensor that nobody will read again, where the system can."""
    if not sys.platform.startswith("linux") or tensor.device.type != "cpu":
        return
    page = mmap.PAGESIZE
    begin = -(-tensor.data_ptr() // page) * page
    _drop(begin, (tensor.data_ptr() + tensor.nbytes) // page * page)


def let_files_go() -> None:
    """Drop the pages of all mapped weight files; what is read again comes from the file. Linux only.

    For weights that are turned to another format as they are read: what their linear is given is a copy. Only while a
    model is read: what anybody wrote into a mapped weight would be lost with its page.
    """
    for begin, end in _mapped():
        _drop(begin, end)


def own_weights(model: torch.nn.Module) -> int:
    """Copy the model's parameters out of mapped weight files, one after the other; returns how many. Linux only."""
    ranges = _mapped()
    starts = [start for start, _ in ranges]
    copied = 0
    for parameter in model.parameters():
        at = bisect_right(starts, parameter.data_ptr()) - 1
        if parameter.device.type != "cpu" or at < 0 or parameter.data_ptr() >= ranges[at][1]:
            continue
        old = parameter.data
        parameter.data = old.clone()
        let_go(old)
        copied += 1
    return copied


def _drop(begin: int, end: int) -> None:
    if end > begin:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _DONTNEED)


def _mapped() -> list[tuple[int, int]]:
    """Return where files with weights lie in memory, in ascending order."""
    found: list[tuple[int, int]] = []
    with contextlib.suppress(OSError), open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        for line in file:
            fields = line.split(maxsplit=5)
            if len(fields) == 6 and fields[5].rstrip().removesuffix(" (deleted)").endswith(".safetensors"):
                start, _, end = fields[0].partition("-")
                found.append((int(start, 16), int(end, 16)))
    return sorted(found)
