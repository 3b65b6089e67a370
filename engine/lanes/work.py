"""The kinds of work that a lane takes from the runner, and what it finds out about documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.encoding.batches import WorkItem
    from engine.job import Job, Stop


@dataclass(frozen=True, slots=True)
class Prepare:
    """Read documents and count their tokens."""

    job: Job
    stop: Stop
    documents: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """Count the tokens of documents before anything runs; their texts stay where they are."""

    job: Job
    stop: Stop
    documents: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Anchors:
    """Encode the texts that the task compares documents with, once per job."""

    job: Job
    stop: Stop
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Encode one batch of work items."""

    job: Job
    stop: Stop
    items: tuple[WorkItem, ...]


Work = Prepare | Count | Anchors | Batch


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a lane found out about one document: its window items, or why it failed or was skipped."""

    document: int
    items: tuple[WorkItem, ...] = ()
    tokens: int = -1
    unknown_share: float = 0.0
    coverage: float = 1.0
    reason: str = ""
    skipped: bool = False
    offline: bool = False
    """Whether its disk or share is not there, so that it can be tried again later."""
