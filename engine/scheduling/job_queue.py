"""What waits in one job."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.requests.item import WorkItem
from engine.scheduling.queue import BatchQueue
from engine.scheduling.work import Count, SetUp

READ_DOCUMENTS = 32
"""Documents that a worker reads and tokenizes at once."""

READ_BYTES = 1 << 20
"""Bytes of files above which such a piece ends earlier."""


@dataclass(slots=True)
class JobQueue:
    """What waits in one job; documents are kept in order, with the bytes of their files."""

    priority: int
    created: float
    open: bool = False
    expecting: bool = False
    set_up: bool = False
    setting_up: SetUp | None = None
    unread: dict[int, int] = field(default_factory=dict)
    suspects: dict[int, int] = field(default_factory=dict)
    suspected: set[int] = field(default_factory=set)
    """Documents that were added as suspects, wherever they are now."""
    apart: dict[int, list[WorkItem]] = field(default_factory=dict)
    """Items of suspects that are ready."""
    unfinished: dict[int, int] = field(default_factory=dict)
    """Long documents of which more items are to be made."""
    uncounted: dict[int, int] = field(default_factory=dict)
    ready: BatchQueue = field(default_factory=BatchQueue)
    under_way: int = 0
    counts: list[Count] = field(default_factory=list)
    """Counts under way that were asked for last."""
    counting: int = 0

    @property
    def waits(self) -> bool:
        """Whether anything waits to be read or run."""
        return bool(self.unread or self.unfinished or self.suspects or self.ready or self.apart)

    def first_unfinished(self, *, suspect: bool) -> int | None:
        """Return a long document of which more items are to be made, None without one."""
        return next((number for number in self.unfinished if (number in self.suspected) == suspect), None)

    @property
    def suspects_wait(self) -> bool:
        """Whether suspects wait, at whatever stage."""
        waiting = self.suspects.keys() | self.apart.keys() | self.unfinished.keys()
        return not self.suspected.isdisjoint(waiting)


def take_first(waiting: dict[int, int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Take the first documents out of ``waiting``, as many as are read at once; returns them, and their bytes."""
    chunk: list[int] = []
    size = 0
    for number, bytes_ in waiting.items():
        if chunk and (len(chunk) >= READ_DOCUMENTS or size >= READ_BYTES):
            break
        chunk.append(number)
        size += bytes_
    return tuple(chunk), tuple(waiting.pop(number) for number in chunk)
