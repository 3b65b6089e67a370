"""Adding to piles: paths, texts and watched folders, one after the other for each pile, on threads of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.api.reading import ReadAs
from engine.documents import encodings
from engine.documents.watch import Watcher
from engine.jobs import control
from engine.jobs.ingest import add_paths, add_texts, added, hand_over
from engine.telemetry.helpers import Helpers, InTurn

if TYPE_CHECKING:
    from engine.jobs.coordinator import Coordinator
    from engine.jobs.job import Job

READERS = 16
"""Piles that files are added to at once."""


class Adding:
    """Puts documents on the piles of a coordinator."""

    def __init__(self, coordinator: Coordinator, closing: Callable[[], bool]) -> None:
        """Add to the jobs of ``coordinator``; adding ends early once ``closing`` is true."""
        self._coordinator, self._closing = coordinator, closing
        self.watcher = Watcher(self._take_new)
        self._readers = Helpers("reader", READERS)
        self._turns = InTurn(self._readers)

    def paths(
        self, job: Job, paths: Iterable[str], *, encoding: str, on_bad_bytes: str, column: str, leave_out: Iterable[str]
    ) -> Future[dict[str, int]]:
        """Walk files and folders into a pile, as Engine.add_paths tells."""
        wanted = list(paths)
        if encoding:
            encodings.known(encoding)
        ReadAs(encoding, on_bad_bytes, column)

        def read_as() -> None:
            job.column = column
            if (job.encoding, job.on_bad_bytes) != (encoding, on_bad_bytes):
                job.read_as(encoding, on_bad_bytes)

        self._expect(job, read_as)
        return self._turns.submit(job.id, add_paths, self._coordinator, job, wanted, self._closing, tuple(leave_out))

    def texts(self, job: Job, texts: Iterable[tuple[str, str]]) -> Future[dict[str, int]]:
        """Put texts that are in memory on a pile."""
        self._expect(job)
        return self._turns.submit(job.id, add_texts, self._coordinator, job, list(texts))

    def in_turn(self, job: str, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Call ``function`` once all that is being added to a pile is there."""
        return self._turns.submit(job, function, *arguments)

    def watch(self, job: Job, folder: str) -> None:
        """Add new files of ``folder`` once they stop growing, and run changed ones again; "" ends it."""
        if not folder:
            self.watcher.forget(job.id)
            return
        records = self._coordinator.call(lambda: [document.record for document in job.pile.documents.values()])
        known = {one.path: (one.size, one.mtime_ns) if one.mtime_ns and not one.locator else None for one in records}
        self.watcher.watch(job.id, folder, known)

    def _take_new(self, job: str, paths: list[str]) -> None:
        """Take files that a watch found; a job that had finished goes on with them."""
        found = self._coordinator.call(lambda: self._coordinator.jobs.get(job))
        if found is None or self._closing():
            self.watcher.forget(job)
            return
        self._expect(found)

        def go_on() -> None:
            if found.status == "finished" and found.task is not None:
                control.start(self._coordinator, found)

        self._coordinator.call(go_on)
        add = partial(add_paths, watched=True)
        self._turns.submit(job, add, self._coordinator, found, paths, self._closing)

    def _expect(self, job: Job, before: Callable[[], None] = lambda: None) -> None:
        """Let a job wait for documents that are being added."""

        def begin() -> None:
            job.adding += 1
            before()
            self._coordinator.update(job)

        self._coordinator.call(begin)

    def end(self, job: str) -> None:
        """Wait no longer for what is being added to a job; what a thread still finds is taken when it comes."""
        found = self._coordinator.call(lambda: self._coordinator.jobs.get(job))
        if found is not None:
            hand_over(self._coordinator, found)
        while found is not None and found.adding > 0:
            added(self._coordinator, found)

    def close(self) -> None:
        """Watch nothing any more."""
        self.watcher.close()

    def shutdown(self) -> None:
        """Take no more calls; threads that read end when their files answer."""
        self._readers.shutdown(wait=False, cancel_futures=True)
