"""How ready items are shared among workers: batches by a length budget, or slots of continuous batching."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.requests.item import WorkItem
from engine.scheduling.queue import BatchQueue

LOOK_AHEAD = 64
"""Batches' worth of tokens per worker that are counted ahead, so that longest-first has something to choose from while
the memory of a very large pile stays bounded."""

AHEAD = 4
"""Documents that are made ready to be written about, in slots of all workers: enough to choose the longest from, and the
first answers do not wait until a large pile is read."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a worker has: ``works`` that it has not returned, of them ``reading`` documents; ``items`` and their ``tokens``.

    ``shared`` are documents about which it runs items that share a beginning.
    """

    works: int = 0
    reading: int = 0
    items: int = 0
    tokens: int = 0
    shared: frozenset[int] = frozenset()


class Policy(Protocol):
    """How many items are made ready ahead, whether a worker may have more, and its share of what is ready."""

    def few(self, ready: BatchQueue, workers: int) -> bool:
        """Tell whether more documents should be read."""
        ...

    def takes_reading(self, load: Load) -> bool:
        """Tell whether a worker may be given documents to read, count or set up."""
        ...

    def takes_items(self, load: Load) -> bool:
        """Tell whether a worker may be given items to run."""
        ...

    def share(self, ready: BatchQueue, worker: int, loads: Sequence[Load], *, more_to_come: bool) -> list[WorkItem]:
        """Take the next items of ``worker`` out of ``ready``; ``loads`` are those of all workers that live."""
        ...

    @property
    def waits_its_turn(self) -> bool:
        """Tell whether a worker that has no share of an urgent job takes nothing less urgent meanwhile."""
        ...


@dataclass(frozen=True, slots=True)
class LengthBatches:
    """Batches of at most ``budget`` tokens, longest first; ``padded`` counts every item as long as the longest.

    A worker has one batch that runs and one that waits for it.
    """

    budget: int
    padded: bool = False

    def few(self, ready: BatchQueue, workers: int) -> bool:
        """As the protocol says: by tokens."""
        return ready.tokens < LOOK_AHEAD * self.budget * workers

    def takes_reading(self, load: Load) -> bool:
        """As the protocol says: one piece of work beside the one that runs."""
        return load.works < 2

    def takes_items(self, load: Load) -> bool:
        """As the protocol says: one piece of work beside the one that runs."""
        return load.works < 2

    def share(self, ready: BatchQueue, worker: int, loads: Sequence[Load], *, more_to_come: bool) -> list[WorkItem]:  # noqa: ARG002 - batches are the same for all
        """As the protocol says: the longest items within the budget."""
        return ready.take(self.budget, workers=max(1, len(loads)), padded=self.padded, more_to_come=more_to_come)

    @property
    def waits_its_turn(self) -> bool:
        """As the protocol says: a batch is over soon, so any work is better than none."""
        return False


@dataclass(frozen=True, slots=True)
class Slots:
    """``slots`` items at once in each worker; each goes to the worker that has the fewest tokens."""

    slots: int

    def few(self, ready: BatchQueue, workers: int) -> bool:
        """As the protocol says: by items."""
        return len(ready) < AHEAD * self.slots * workers

    def takes_reading(self, load: Load) -> bool:
        """As the protocol says: one piece at a time, and only with a slot free for what comes of it."""
        return not load.reading and load.items < self.slots

    def takes_items(self, load: Load) -> bool:
        """As the protocol says: with a slot free."""
        return load.items < self.slots

    def share(self, ready: BatchQueue, worker: int, loads: Sequence[Load], *, more_to_come: bool) -> list[WorkItem]:  # noqa: ARG002 - what is ready is dealt
        """As the protocol says; workers that read will have what they read, which is taken to be as long as others."""
        mean = ready.tokens / len(ready)
        workers = [(load.tokens + mean * load.reading, self.slots - load.items - load.reading) for load in loads]
        return ready.deal(worker, workers, {number: at for at, load in enumerate(loads) for number in load.shared})

    @property
    def waits_its_turn(self) -> bool:
        """As the protocol says: what is ready is meant for other workers, and comes before what is less urgent."""
        return True
