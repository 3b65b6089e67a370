"""One file a task; base.py holds what every task answers.

To add a task, add its file: its settings as a frozen dataclass, and its class with ``prepare_job``, ``start``, ``advance``
and ``summary`` (``tasks.base.Task``). It is found here; its form in the window and its options on the command line are made
from the settings.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from engine.errors import UsageError
from engine.tasks.base import Task, settings_of


def _found() -> dict[str, type[Task]]:
    """Return the tasks of the files in this folder by name: those with a ``place`` in its order, then all others."""
    kinds: list[type[Task]] = []
    for file in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{file.name}")
        for kind in vars(module).values():
            if isinstance(kind, type) and kind.__module__ == module.__name__ and "settings_type" in vars(kind):
                kinds.append(kind)
    kinds.sort(key=lambda kind: (getattr(kind, "place", len(kinds)), kind.name))
    return {kind.name: kind for kind in kinds}


TASKS: dict[str, type[Task]] = _found()
"""The tasks by name, in the order in which they are offered."""


def make(name: str, settings: dict[str, Any]) -> Task:
    """Return the task ``name`` with its settings checked; raises UsageError that says what is wrong."""
    kind = TASKS.get(name)
    if kind is None:
        raise UsageError(f"There is no task {name!r}; there are {', '.join(TASKS)}.")
    return kind(settings_of(kind, settings))
