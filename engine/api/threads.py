"""CPU time of each OS thread of this process, grouped by what the thread is for.

Works alike in the engine and in the window. On Linux the kernel's own accounting is read (``/proc/self/task``); there
a thread inherits the name of the thread that made it, so that the OpenMP workers of a worker are found under that worker.
Elsewhere psutil lists the threads, and only those that named themselves are told apart.
"""

from __future__ import annotations

import ctypes
import logging
import os
import re
import sys
import threading
import time
from typing import TYPE_CHECKING

from engine.api.snapshot import ThreadTime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

log = logging.getLogger(__name__)

MAIN = "main"
OTHER = "other"
ENDED = "ended"
"""Group of the one entry, with tid 0, that holds the CPU time of threads that are gone."""

ROLES = frozenset({"journal", "reader"})
"""Thread names that are a group of their own even when the thread did not register itself."""

_NAME_BYTES = 15  # what Linux keeps of a thread's name (TASK_COMM_LEN is 16 with the final NUL)
_PR_SET_NAME = 15
_WORKER = re.compile(r"worker-(\d+)")
_TASKS = "/proc/self/task"

# The table of threads belongs to the process, as the operating system's own does: one thread may be metered by
# several meters and outlives them. Keys are native thread ids; a meter drops those that it no longer finds alive.
_registered: dict[int, str] = {}


def register(name: str) -> None:
    """Say that the calling thread is ``name`` (``worker-0``, ``journal``, ``reader`` or another role)."""
    _registered[threading.get_native_id()] = name


def name_this_thread(name: str) -> None:
    """Name the calling thread for the operating system's tools (``top -H``, debuggers) and register it.

    Linux keeps the first 15 bytes and hands the name on to threads that this one makes later. Where the system has no
    such call the thread is registered only.
    """
    register(name)
    try:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode()[:_NAME_BYTES], 0, 0, 0)
        elif sys.platform == "darwin":
            ctypes.CDLL(None).pthread_setname_np(name.encode())
        elif sys.platform == "win32":
            kernel = ctypes.WinDLL("kernel32")
            kernel.GetCurrentThread.restype = ctypes.c_void_p
            kernel.SetThreadDescription.argtypes = (ctypes.c_void_p, ctypes.c_wchar_p)
            kernel.SetThreadDescription(kernel.GetCurrentThread(), name)
    except (OSError, AttributeError) as error:
        log.debug("this system does not name threads: %s", error)


def group_of(name: str, roles: Iterable[str] = ROLES) -> str:
    """Return the group that a thread's name stands for: ``worker N``, one of ``roles``, else ``other``."""
    worker = _WORKER.match(name)
    if worker:
        return f"worker {worker.group(1)}"
    return name if name in roles else OTHER


def process_cpu() -> float:
    """Return the CPU seconds, user and system, of all threads of this process, those that ended included."""
    return time.process_time()


class ThreadMeter:
    """Reads the CPU time of every thread of this process. Used from one thread at a time."""

    def __init__(self) -> None:
        """Find out which source of CPU times this system has."""
        self._read = _reader()

    def process_cpu(self) -> float:
        """Return the CPU seconds of the whole process, as the function of this name does."""
        return process_cpu()

    def sample(self) -> tuple[ThreadTime, ...]:
        """Return the CPU seconds of each live thread since its birth, ordered by thread id.

        A first entry with tid 0 and group ``ended`` holds what threads used that are gone, so that the sum of all
        entries is the CPU time of the process.
        """
        known = dict(_registered)
        rows = self._read()
        alive = {tid for tid, _, _ in rows}
        main = threading.main_thread().native_id
        for tid in known.keys() - alive:  # the system uses ids again
            _registered.pop(tid, None)
        names = {tid: name for tid, name in known.items() if tid in alive}
        # Workers made by a registered thread carry its name, cut to what the system keeps of it.
        roles = {name.encode()[:_NAME_BYTES].decode(errors="ignore"): name for name in names.values()}
        roles |= {role: role for role in ROLES}
        times: list[ThreadTime] = []
        for tid, comm, cpu in rows:
            name = names.get(tid) or roles.get(comm, comm)
            group = MAIN if tid == main else group_of(name, roles.values())
            times.append(ThreadTime(tid, group, cpu))
        times.sort(key=lambda row: row.tid)
        gone = process_cpu() - sum(row.cpu for row in times)
        if gone > 0:
            times.insert(0, ThreadTime(0, ENDED, gone))
        return tuple(times)


_Rows = list[tuple[int, str, float]]
"""Native thread id, name as the system has it ("" where it tells none), CPU seconds."""


def _reader() -> Callable[[], _Rows]:
    if not os.path.isdir(_TASKS):
        return _read_psutil
    # Kernels without scheduler statistics, and some sandboxes, have no such file or zeros in it; this thread has
    # certainly run by now.
    own = _contents(f"{_TASKS}/{threading.get_native_id()}/schedstat").split()
    return _read_schedstat if own and int(own[0]) > 0 else _read_ticks


def _contents(path: str) -> bytes:
    """Return the bytes of a small kernel file, or none when the thread ended meanwhile."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(file, 1024)
    except OSError:
        return b""
    finally:
        os.close(file)


def _name(tid: str) -> str:
    return _contents(f"{_TASKS}/{tid}/comm").rstrip(b"\n").decode(errors="replace")


def _read_schedstat() -> _Rows:
    """Nanoseconds on a CPU: first field of schedstat (Documentation/scheduler/sched-stats.rst of Linux)."""
    rows: _Rows = []
    for tid in os.listdir(_TASKS):
        fields = _contents(f"{_TASKS}/{tid}/schedstat").split()
        if fields:
            rows.append((int(tid), _name(tid), int(fields[0]) * 1e-9))
    return rows


def _read_ticks() -> _Rows:
    """User and system clock ticks: fields 14 and 15 of stat (proc(5)); the name before them may hold spaces."""
    tick = 1.0 / os.sysconf("SC_CLK_TCK")
    rows: _Rows = []
    for tid in os.listdir(_TASKS):
        fields = _contents(f"{_TASKS}/{tid}/stat").rpartition(b")")[2].split()
        if fields:
            rows.append((int(tid), _name(tid), (int(fields[11]) + int(fields[12])) * tick))
    return rows


def _read_psutil() -> _Rows:
    import psutil

    return [(row.id, "", row.user_time + row.system_time) for row in psutil.Process().threads()]
