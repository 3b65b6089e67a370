"""Plans that were measured: for each model the best workers, threads and slots on this machine, in one file of the user's."""

from __future__ import annotations

import contextlib
import json
import os
import time
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


def path() -> str:
    """Return where the plans are kept: beside the window's data, whichever data folder a window uses."""
    return os.path.join(platformdirs.user_data_dir("Heddle", appauthor=False), FILE)


def _key(fingerprint: str, dtype: str) -> str:
    """Return what a measurement holds for: the model in a number format, the machine, and what computes on it."""
    versions = machine.versions()
    about = [fingerprint, dtype, str(machine.core_count()), machine.instruction_set()]
    return "|".join([*about, *(versions.get(name, "") for name in ("heddle", "torch", "transformers"))])


def _read() -> dict[str, Any]:
    try:
        with open(path(), "rb") as file:
            kept = json.loads(file.read(_LIMIT))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def best(fingerprint: str, dtype: str) -> Plan | None:
    """Return the measured plan of a model (models.fingerprint) in a number format on the CPU, None without one."""
    found = _read().get(_key(fingerprint, dtype)) if fingerprint else None
    try:
        return Plan(**found["plan"]) if found else None
    except (TypeError, KeyError, HeddleError):
        return None  # a file that somebody wrote by hand


def keep(fingerprint: str, plan: Plan, measured: list[dict[str, Any]]) -> str:
    """Keep the best plan of a model with all that was measured; returns the file. Raises OSError."""
    place = path()
    os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
    kept = _read()
    key = _key(fingerprint, plan.dtype)
    kept.pop(key, None)
    kept[key] = {"plan": asdict(plan), "at": round(time.time()), "measured": measured}
    new = f"{place}.{os.getpid()}.new"
    try:
        with open(new, "w", encoding="utf-8") as file:
            json.dump(dict(list(kept.items())[-_MODELS:]), file, indent=1)
        os.replace(new, place)
    finally:
        with contextlib.suppress(OSError):
            os.remove(new)
    return place


def filled(plan: Plan, measured: Plan | None) -> Plan:
    """Return ``plan`` with workers, threads and slots as they were measured, where it leaves all workers to the engine."""
    if measured is None or plan.device != "cpu" or plan.workers or plan.threads:
        return plan
    return replace(plan, workers=measured.workers, threads=measured.threads, slots=plan.slots or measured.slots)
