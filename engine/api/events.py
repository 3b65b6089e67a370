"""What the engine tells the window."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.api.activity import Activity
from engine.api.facts import MachineFacts
from engine.api.snapshot import Snapshot
from engine.api.task_spec import TaskSpec


@dataclass(frozen=True, slots=True)
class Hello:
    """First event of an engine process. ``recovered`` names jobs found in the session file of an engine that died."""

    version: int
    engine: str
    pid: int
    machine: MachineFacts
    tasks: tuple[TaskSpec, ...]
    recovered: tuple[str, ...] = ()
    set_aside: tuple[Activity, ...] = ()
    """What the engine before did not come back from, if it was ended for that; not to be tried again by itself."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A snapshot on its way up; also the engine's heartbeat, sent ten times a second even when nothing changed."""

    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to the command with the same ``request``; ``error`` is a sentence for the user when not ``ok``."""

    request: int
    ok: bool
    value: dict[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Bye:
    """Last event: the engine ends in good order."""

    reason: str = ""


Event = Hello | Picture | Reply | Bye
