"""Work items whose tokens are counted, and how they are cut into batches or dealt into slots."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
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
        """Take ``items`` in; the order among equally long ones is the order of adding.

        Items that share a beginning are as long as that, and so lie side by side.
        """
        for item in items:
            self._count += 1
            heapq.heappush(self._heap, (-(item.shared or len(item.ids)), self._count, item))
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
        used = longest = 0
        while self._heap:
            length = len(self._heap[0][2].ids)
            longest = max(longest, length)
            if batch and (longest * (len(batch) + 1) if padded else used + length) > budget:
                break
            item = heapq.heappop(self._heap)[2]
            self.tokens -= length
            used += length
            batch.append(item)
        return batch

    def deal(
        self, worker: int, workers: Sequence[tuple[float, int]], owners: Mapping[int, int] | None = None
    ) -> list[WorkItem]:
        """Return the share of ``worker`` when the longest items go, one by one, to the worker with the fewest tokens.

        ``workers`` holds the tokens and the free places of each. What is meant for others stays in the queue until they
        ask, and is dealt anew then: none takes a small pile for itself while others have nothing, and a worker with a free
        place and no tokens always gets something. Longest processing time first (Graham, 1969). Items that share a
        beginning go to the worker that has others of their document (``owners``), which reads it once; to another only
        where that one has no room and there is nothing else.
        """
        having = dict(owners or {})
        tokens = [count for count, _ in workers]
        rooms = [room for _, room in workers]
        share: list[tuple[int, int, WorkItem]] = []
        others: list[tuple[int, int, WorkItem]] = []
        crowded: list[tuple[int, int, WorkItem]] = []
        while self._heap and rooms[worker] > 0:
            entry = heapq.heappop(self._heap)
            item = entry[2]
            taker = having.get(item.document, -1) if item.shared else -1
            read = taker >= 0
            if read and rooms[taker] <= 0:
                crowded.append(entry)
                continue
            if not read:
                taker = min(
                    (index for index, room in enumerate(rooms) if room > 0),
                    key=lambda index: (tokens[index], index != worker, index),
                )
                if item.shared:
                    having[item.document] = taker
            (share if taker == worker else others).append(entry)
            rooms[taker] -= 1
            tokens[taker] += len(item.ids) - (item.shared if read else 0)
        if not share:
            share, crowded = crowded[: max(0, rooms[worker])], crowded[max(0, rooms[worker]) :]
        others += crowded
        for _, _, item in share:
            self.tokens -= len(item.ids)
        for entry in others:
            heapq.heappush(self._heap, entry)
        return [item for _, _, item in share]

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
