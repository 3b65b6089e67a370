"""Work items whose tokens are counted, and how they are cut into batches or dealt into slots."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from engine.requests.item import WorkItem

SMALLEST_BATCH = 256
"""Tokens below which a batch is not worth its fixed cost; the last batches of a job are not cut smaller."""


class BatchQueue:
    """Work items whose tokens are counted, handed out longest first.

    Longest first keeps the tail short: when the queue runs dry, the workers are finishing small batches, and the
    batches themselves shrink towards the end so that the workers stop together.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._heap: list[tuple[int, int, WorkItem]] = []
        self._count = 0
        self.tokens = 0
        """Tokens of all items in the queue."""

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, items: list[WorkItem]) -> None:
        """Take ``items`` in; the order among equally long ones is the order of adding."""
        for item in items:
            self._count += 1
            heapq.heappush(self._heap, (-len(item.ids), self._count, item))
            self.tokens += len(item.ids)

    def take(
        self,
        budget: int,
        *,
        workers: int = 1,
        padded: bool = False,
        more_to_come: bool = False,
    ) -> list[WorkItem]:
        """Return the next batch: at least one item, at most ``budget`` tokens otherwise.

        ``padded`` counts every item as long as the longest (what a padded batch costs). Unless ``more_to_come``, a
        batch takes no more than a fair share of what is left, ``tokens / (2 x workers)``: guided self-scheduling
        (Polychronopoulos and Kuck, 1987), so that no worker is left with a large last batch.
        """
        if not self._heap:
            return []
        if not more_to_come:
            budget = min(budget, max(SMALLEST_BATCH, self.tokens // (2 * workers)))
        batch: list[WorkItem] = []
        used = 0
        longest = -self._heap[0][0]
        while self._heap:
            length = longest if padded else -self._heap[0][0]
            if batch and used + length > budget:
                break
            item = heapq.heappop(self._heap)[2]
            self.tokens -= len(item.ids)
            used += length
            batch.append(item)
        return batch

    def deal(self, worker: int, workers: Sequence[tuple[float, int]]) -> list[WorkItem]:
        """Return the share of ``worker`` when the longest items go, one by one, to the worker with the fewest tokens.

        ``workers`` holds the tokens and the free places of each. What is meant for others stays in the queue until they
        ask, and is dealt anew then: none takes a small pile for itself while others have nothing, and a worker with a free
        place and no tokens always gets something. Longest processing time first (Graham, 1969).
        """
        free = [(tokens, index != worker, index) for index, (tokens, room) in enumerate(workers) if room > 0]
        heapq.heapify(free)
        rooms = [room for _, room in workers]
        share: list[WorkItem] = []
        others: list[tuple[int, int, WorkItem]] = []
        while free and self._heap and rooms[worker] > 0:
            tokens, other, index = heapq.heappop(free)
            entry = heapq.heappop(self._heap)
            if index == worker:
                share.append(entry[2])
                self.tokens -= len(entry[2].ids)
            else:
                others.append(entry)
            rooms[index] -= 1
            if rooms[index]:
                heapq.heappush(free, (tokens + len(entry[2].ids), other, index))
        for entry in others:
            heapq.heappush(self._heap, entry)
        return share

    def remove(self, documents: AbstractSet[int]) -> int:
        """Take the items of ``documents`` out; returns how many there were."""
        left = [entry for entry in self._heap if entry[2].document not in documents]
        gone = len(self._heap) - len(left)
        if gone:
            heapq.heapify(left)
            self._heap = left
            self.tokens = sum(len(entry[2].ids) for entry in left)
        return gone

    def clear(self) -> list[WorkItem]:
        """Empty the queue and return what was in it."""
        items = [entry[2] for entry in self._heap]
        self._heap.clear()
        self.tokens = 0
        return items
