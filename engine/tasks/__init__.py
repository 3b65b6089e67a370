"""One file a task; base.py holds what every task answers.

To add a task: write its settings as a frozen dataclass and its class with ``anchors``, ``combine`` and ``summary``, and
name it in TASKS. Its form in the window and its options on the command line are made from the settings.
"""

from __future__ import annotations

from typing import Any

from engine.errors import UsageError
from engine.tasks.base import Task, settings_of
from engine.tasks.classify import Classify
from engine.tasks.embed import Embed
from engine.tasks.generate import Generate

TASKS: dict[str, type[Task]] = {task.name: task for task in (Embed, Classify, Generate)}
"""The tasks by name, in the order in which they are offered."""


def make(name: str, settings: dict[str, Any]) -> Task:
    """Return the task ``name`` with its settings checked; raises UsageError that says what is wrong."""
    kind = TASKS.get(name)
    if kind is None:
        raise UsageError(f"There is no task {name!r}; there are {', '.join(TASKS)}.")
    return kind(settings_of(kind, settings))
