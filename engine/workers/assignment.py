"""What a worker finds in its inbox: work, and all that it needs to do it."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.api.reading import FAIL
from engine.requests.item import TokenIds
from engine.requests.request import Request

if TYPE_CHECKING:
    from engine.documents.document import Columns
    from engine.inference.prepare.ready import Rest
    from engine.scheduling.work import Work
    from engine.tasks.base import Outputs, Task


class Stop:
    """Asked by workers whether the run that their work belongs to has been cancelled; one for every run of a job."""

    __slots__ = ("asked",)

    def __init__(self) -> None:
        """Start with nobody having asked."""
        self.asked = False

    def __call__(self) -> bool:
        """Tell whether the run was cancelled."""
        return self.asked


KEPT = 4
"""Documents whose beginning is kept for requests that still wait, besides those that are being written about."""


class Shared:
    """What the workers of one run share: the beginning of its prompts (generation.prefix.Prefix), set once, and that of
    the prompts about one document, where several are asked.
    """

    def __init__(self) -> None:
        """Start with nothing known."""
        self._lock = threading.Lock()
        self._prefix: Any = None
        self._documents: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self._newest: deque[Any] = deque(maxlen=KEPT)

    @property
    def prefix(self) -> Any:
        """The shared beginning, or None."""
        return self._prefix

    def of_document(self, number: int, ids: TokenIds, make: Callable[[TokenIds], Any]) -> Any:
        """Return the beginning ``ids`` of the prompts about a document; made where no worker has it."""
        with self._lock:
            known = self._documents.get(number)
            if known is None or not np.array_equal(known.ids, ids):
                known = self._documents[number] = make(ids.copy())
            if known not in self._newest:
                self._newest.append(known)
            return known

    def offer(self, prefix: Any) -> None:
        """Keep the first beginning that is offered."""
        with self._lock:
            if self._prefix is None:
                self._prefix = prefix


@dataclass(frozen=True, slots=True, eq=False)
class JobRun:
    """One run of a job, as workers see it: its task, how files are read, and what ends it."""

    job: str
    task: Task | None
    encoding: str = ""
    on_bad_bytes: str = FAIL
    stop: Stop = field(default_factory=Stop)
    shared: Shared = field(default_factory=Shared)


@dataclass(frozen=True, slots=True)
class Unread:
    """A document that is to be read and prepared.

    ``text`` is what is in memory of it; where ``in_memory``, there is no file. ``requests`` are those of a later step of
    its task, for which nothing has to be read; ``have`` are keys of requests whose outputs are there already.
    """

    number: int
    path: str
    size: int = 0
    mtime_ns: int = 0
    sha256: str = ""
    text: str | None = None
    in_memory: bool = False
    device: int | None = None
    step: int = 0
    requests: tuple[Request, ...] | None = None
    state: Mapping[str, Any] = field(default_factory=dict)
    have: frozenset[str] = frozenset()
    renew: bool = False
    """Whether its file is to be taken as it is now, whatever it was when it was added."""
    locator: str = ""
    columns: Columns = ()
    """Of a row of a table, where ``text`` is in memory: what else stands in it."""


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """A piece of work for one worker.

    ``documents`` belong to work that reads, ``requests`` to what a job needs once; ``outputs`` are those of the job.
    """

    work: Work
    run: JobRun
    documents: tuple[Unread, ...] = ()
    requests: tuple[Request, ...] = ()
    outputs: Outputs = field(default_factory=dict)
    rests: Mapping[str, Rest] = field(default_factory=dict)
    """What makes more items of the one document of the work, by the key of its request."""
