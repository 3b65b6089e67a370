"""The states of a document; it is in exactly one of them."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a document stands. Every document of a job is in exactly one of these."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    QUARANTINED = "quarantined"
    """Was in work when the engine died, twice; it is not tried again unless somebody asks."""
    OFFLINE = "offline"
    """Its disk or share is not there; it goes on when that is back."""
