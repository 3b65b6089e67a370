"""Removals: documents that were taken off a pile, kept for a while with their results, so that it can be undone."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.api.state import State
from engine.errors import HeddleError, UsageError
from engine.jobs import control
from engine.jobs.document import Document

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.jobs.coordinator import Coordinator
    from engine.jobs.job import Job
    from engine.store.record import Result

log = logging.getLogger(__name__)

LARGEST = 64 << 20
"""Bytes of results of all removals together beyond which the oldest ones cannot be undone any more."""


@dataclass(frozen=True, slots=True)
class _Removal:
    """What was taken off at once."""

    job: str
    documents: tuple[Document, ...]
    results: dict[int, Result]
    bytes: int


class Removals:
    """Takes documents off piles and puts them back. Nothing of this outlives the engine."""

    def __init__(self, coordinator: Coordinator) -> None:
        """Serve the piles of ``coordinator``."""
        self.coordinator = coordinator
        self._kept: OrderedDict[int, _Removal] = OrderedDict()
        self._last = 0

    def remove(self, job: Job, numbers: Iterable[int]) -> dict[str, int]:
        """Take documents off the pile as control.remove does; waits for the disk to read their results.

        Returns ``{"count": n, "removal": id}``; with the id, ``restore`` undoes it; 0 says that it can't be undone.
        """
        coordinator, given = self.coordinator, list(numbers)

        def look() -> tuple[list[int], list[int]]:
            wanted = given or list(job.pile.documents)
            return wanted, [
                n for n in wanted if n in job.pile.documents and job.pile.documents[n].record.state == State.DONE
            ]

        wanted, done = coordinator.call(look)
        results, size = self._results(done)

        def take() -> dict[str, int]:
            documents = {n: job.pile.documents[n] for n in wanted if n in job.pile.documents}
            count = control.remove(coordinator, job, wanted) if wanted else 0
            gone = tuple(document for n, document in documents.items() if n not in job.pile.documents)
            if not gone or size > LARGEST:
                return {"count": count, "removal": 0}
            self._last += 1
            self._kept[self._last] = _Removal(job.id, gone, results, size)
            while sum(one.bytes for one in self._kept.values()) > LARGEST:
                self._kept.popitem(last=False)
            return {"count": count, "removal": self._last}

        return coordinator.call(take)

    def _results(self, done: list[int]) -> tuple[dict[int, Result], int]:
        """Return results by document and their bytes; of more than may be kept, only so many that this shows."""
        found: dict[int, Result] = {}
        size = 0
        try:
            for record, result in self.coordinator.journal.rows(done):
                if result is None:
                    continue
                found[record.id] = result
                size += len(json.dumps(result.value)) + len(result.vector or b"")
                if size > LARGEST:
                    break
        except HeddleError as error:
            log.warning("results of documents that are taken off cannot be kept for an undo: %s", error)
            return {}, LARGEST + 1
        return found, size

    def restore(self, job: Job, removal: int) -> int:
        """Put back what a removal took off, in its place and with its results; returns how many documents.

        Raises UsageError for one that can't be undone any more.
        """
        return self.coordinator.call(lambda: self._restore(job, removal))

    def _restore(self, job: Job, removal: int) -> int:
        coordinator = self.coordinator
        kept = self._kept.pop(removal, None)
        if kept is None or kept.job != job.id:
            raise UsageError("This cannot be undone any more.")
        back: list[tuple[Document, Result | None]] = []
        for document in kept.documents:
            result = kept.results.get(document.record.id)
            # A number of its own: pieces of the old one may still lie in the queue.
            document.record = replace(document.record, id=coordinator.number())
            if not document.in_memory:
                document.text = None
            lost = document.record.state == State.DONE and result is None
            if document.record.state == State.OFFLINE or lost:
                document.record = replace(document.record, state=str(State.WAITING), reason=document.note)
            if document.record.state == State.WAITING:
                document.start_over()
                document.summary = ""
            back.append((document, result))
        job.pile.put_back(back)
        coordinator.line_up(job, [d.record.id for d, _ in back if d.record.state == State.WAITING])
        coordinator.update(job)
        return len(back)
