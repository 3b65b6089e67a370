"""Plans that were measured: the best workers, threads and slots for a model and a length of texts, in a file of the user's."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import platformdirs

from engine.api.plan import Plan
from engine.errors import HeddleError
from engine.telemetry import machine

FILE = "plans.json"

_LIMIT = 1 << 20
"""Bytes of the file that are read."""
_MODELS = 200
"""Plans that are kept, the latest."""
_LENGTHS = (("short", 1000), ("medium", 8000))
"""Classes of texts by their median length in characters; what is longer is ``long``."""
_LOCK = threading.Lock()


def path() -> str:
    """Return where the plans are kept: beside the window's data, whichever data folder a window uses."""
    return os.path.join(platformdirs.user_data_dir("Heddle", appauthor=False), FILE)


def length_class(texts: Sequence[str]) -> str:
    """Return ``short``, ``medium`` or ``long``, by the median of the texts' characters: they want different plans."""
    middle = statistics.median(len(text) for text in texts)
    return next((name for name, most in _LENGTHS if middle < most), "long")


def _key(fingerprint: str, dtype: str) -> str:
    """Return what a measurement holds for: the model in a number format, the machine, and what computes on it."""
    versions = machine.versions()
    about = [fingerprint, dtype, str(machine.core_count()), machine.instruction_set()]
    return "|".join([*about, *(versions.get(name, "") for name in ("heddle", "torch", "transformers"))])


def _read(place: str) -> dict[str, Any] | None:
    """Return what the file holds, nothing where there is none, None where it is damaged; raises OSError."""
    try:
        with open(place, "rb") as file:
            kept = json.loads(file.read(_LIMIT))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        return None
    return kept if isinstance(kept, dict) else None


def _plan(entry: object) -> Plan | None:
    try:
        return Plan(**entry["plan"]) if isinstance(entry, dict) else None
    except (TypeError, KeyError, HeddleError):
        return None  # a file that somebody wrote by hand


def best(fingerprint: str, dtype: str, length: str = "") -> Plan | None:
    """Return the measured plan of a model (models.fingerprint) in a number format on the CPU, None without one.

    It is the one for texts of ``length`` (length_class), where they were measured, else the one that was measured last.
    """
    try:
        kept = _read(path()) or {}
    except OSError:
        return None
    key = _key(fingerprint, dtype)
    if not fingerprint:
        return None
    if (exact := _plan(kept.get(f"{key}|{length}"))) is not None:
        return exact
    # The file is in the order of measuring.
    found = [plan for name, entry in kept.items() if key in (name, name.rpartition("|")[0]) and (plan := _plan(entry))]
    return found[-1] if found else None


def keep(fingerprint: str, plan: Plan, measured: list[dict[str, Any]], length: str) -> str:
    """Keep the best plan of a model for texts of ``length`` (length_class), with all that was measured; returns the file.

    Other processes may keep theirs meanwhile. A damaged file is set aside as ``plans.json.damaged``. Raises OSError.
    """
    place = path()
    os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
    new = f"{place}.{os.getpid()}.new"
    key = f"{_key(fingerprint, plan.dtype)}|{length}"
    with _LOCK, _alone(f"{place}.lock"):
        kept = _read(place)
        if kept is None:
            os.replace(place, f"{place}.damaged")
            kept = {}
        kept.pop(key, None)
        kept[key] = {"plan": asdict(plan), "at": round(time.time()), "measured": measured}
        try:
            with open(new, "w", encoding="utf-8") as file:
                json.dump(dict(list(kept.items())[-_MODELS:]), file, indent=1)
            os.replace(new, place)
        finally:
            with contextlib.suppress(OSError):
                os.remove(new)
    return place


@contextlib.contextmanager
def _alone(lock: str) -> Iterator[None]:
    """Wait until no other process has the file ``lock``, and hold it; the system lets go of it when a process dies."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def filled(plan: Plan, measured: Plan | None) -> Plan:
    """Return ``plan`` with workers, threads and slots as they were measured, where it leaves all workers to the engine."""
    if measured is None or plan.device != "cpu" or plan.workers or plan.threads:
        return plan
    return replace(plan, workers=measured.workers, threads=measured.threads, slots=plan.slots or measured.slots)
