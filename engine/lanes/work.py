"""The kinds of work that a lane takes from the runner."""

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


Work = Prepare | Anchors | Batch
