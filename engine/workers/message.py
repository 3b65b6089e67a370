"""What workers tell the coordinator; posted to its mailbox, never waited for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.requests.item import WorkItem
from engine.requests.output import Answer, Output
from engine.scheduling.work import Work

if TYPE_CHECKING:
    from engine.documents.document import Columns
    from engine.inference.prepare.ready import Ready, Rest
    from engine.tasks.base import Outcome


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a worker found out about one document: the items of its requests, or why it failed or was skipped.

    ``parts`` counts the items of each request by key, ``state`` is the task's for the step; ``outcome`` is the result of
    a task that asked nothing.
    """

    document: int
    items: tuple[WorkItem, ...] = ()
    parts: Mapping[str, int] = field(default_factory=dict)
    step: int = 0
    state: Mapping[str, Any] = field(default_factory=dict)
    tokens: int = -1
    unknown_share: float = 0.0
    coverage: float = 1.0
    reason: str = ""
    skipped: bool = False
    offline: bool = False
    """Whether its disk or share is not there, so that it can be tried again later."""
    outcome: Outcome | None = None
    renewed: Mapping[str, Any] = field(default_factory=dict)
    """What a file that was taken as it is now says of its document anew, by field of its record; ``note`` beside it."""
    rests: Mapping[str, Rest] = field(default_factory=dict)
    """What makes more items of requests about a long text, by key."""
    refusal: str = ""
    """Why the model cannot be asked what the job asks, whatever the document."""
    columns: Columns = ()
    """What else stands in a row of a table."""


@dataclass(frozen=True, slots=True)
class Read:
    """Documents were read and prepared; those left out wait again."""

    worker: int
    work: Work
    found: tuple[Prepared, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Counted:
    """Tokens of documents were counted."""

    worker: int
    work: Work
    found: tuple[Prepared, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class MadeMore:
    """More items of a long document were made, ``ready`` by the key of their request; None after a cancellation."""

    worker: int
    work: Work
    ready: Mapping[str, Ready] | None


@dataclass(frozen=True, slots=True)
class WasSetUp:
    """What a job needs once is there, or there is a ``problem``; None of both after a cancellation."""

    worker: int
    work: Work
    outputs: Mapping[str, Output] | None
    problem: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Vectors:
    """Vectors ``[items, dimension]`` of a batch, or of a part of it."""

    worker: int
    work: Work
    items: tuple[WorkItem, ...]
    vectors: npt.NDArray[np.float32]
    seconds: float


@dataclass(frozen=True, slots=True)
class Written:
    """What the model wrote about one item."""

    worker: int
    work: Work
    item: WorkItem
    answer: Answer


@dataclass(frozen=True, slots=True)
class Writing:
    """How far answers are: job, document, the text so far, its tokens."""

    worker: int
    texts: Sequence[tuple[str, int, str, int]]


@dataclass(frozen=True, slots=True)
class Failed:
    """Items that their worker could not process, each to the loss of its document alone."""

    worker: int
    work: Work
    items: tuple[WorkItem, ...]
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class DeviceLost:
    """Items come back because the device does not answer (FAULTS 28)."""

    worker: int
    work: Work
    items: tuple[WorkItem, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class HandedBack:
    """A worker has not begun ``work``, and will not: it waits again."""

    worker: int
    work: Work


@dataclass(frozen=True, slots=True)
class Returned:
    """A worker is through with a run of items."""

    worker: int
    work: Work


Message = (
    Read | MadeMore | Counted | WasSetUp | Vectors | Written | Writing | Failed | DeviceLost | HandedBack | Returned
)
