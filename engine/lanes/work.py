"""The kinds of work that a lane takes from the runner, and what it finds out about documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.encoding.batches import WorkItem
    from engine.job import Job, Stop
    from engine.models.tokenizer import LaneTokenizer


class Rest(Protocol):
    """The parts of a long document that are not made yet. One lane at a time makes some, with its own tokenizer."""

    @property
    def share(self) -> float:
        """How much of the document has been made into parts."""
        ...

    def more(self, tokenizer: LaneTokenizer, ask: Callable[[], None]) -> Prepared:
        """Return the next parts; the last ones come without a rest. Raises DocumentError, and what ``ask`` raises."""
        ...


@dataclass(frozen=True, slots=True)
class Prepare:
    """Read documents and count their tokens."""

    job: Job
    stop: Stop
    documents: tuple[int, ...]
    rest: Rest | None = None
    """What is left of the one document, of which some parts are made."""


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
    rest: Rest | None = None
    """What makes more parts of it; ``items`` are the first, or, of work on a rest, some more."""
    offline: bool = False
    """Whether its disk or share is not there, so that it can be tried again later."""
