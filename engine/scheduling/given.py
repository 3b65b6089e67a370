"""What workers have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.requests.item import WorkItem
from engine.scheduling.job_queue import JobQueue
from engine.scheduling.policies import Load
from engine.scheduling.work import More, Read, Run, SetUp, Work


@dataclass(slots=True, eq=False)
class Given:
    """A piece of work that a worker has, the queue that it came from, and documents that were withdrawn meanwhile."""

    work: Work
    queue: JobQueue
    withdrawn: set[int] = field(default_factory=set)


@dataclass(slots=True)
class WorkerState:
    """What one worker has. ``items`` of its runs that did not come back yet, by identity."""

    given: list[Given] = field(default_factory=list)
    items: dict[int, WorkItem] = field(default_factory=dict)
    tokens: int = 0
    alive: bool = True

    def reads_above(self, priority: int) -> bool:
        """Tell whether it has documents of a more urgent job to read, which are to run next."""
        return any(g.queue.priority > priority and isinstance(g.work, Read | More | SetUp) for g in self.given)

    def load(self) -> Load:
        """Return what it has, in numbers."""
        works = [given.work for given in self.given]
        reading = sum(
            len(work.documents) if isinstance(work, Read) else 1 for work in works if not isinstance(work, Run)
        )
        shared = frozenset(item.document for item in self.items.values() if item.shared)
        return Load(len(works), reading, len(self.items), self.tokens, shared)


def documents_of(work: Work) -> Iterable[int]:
    """Return the documents of ``work``, one for each item of a run."""
    if isinstance(work, SetUp):
        return ()
    return [item.document for item in work.items] if isinstance(work, Run) else work.documents
