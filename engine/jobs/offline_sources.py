"""Sources that went offline: their documents wait, and somebody looks whether the folder is back."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

from engine.api.state import State
from engine.api.threads import name_this_thread
from engine.errors import HeddleError

if TYPE_CHECKING:
    from engine.jobs.coordinator import Coordinator

log = logging.getLogger(__name__)

PERIOD = 2.0
"""Seconds between two looks."""


class OfflineWatch:
    """Looks for documents that are offline, on a thread that lives only while there are some.

    A look at a share that does not answer can take for ever; nobody waits for this thread.
    """

    def __init__(self, coordinator: Coordinator) -> None:
        """Bring back documents of ``coordinator``."""
        self._coordinator = coordinator
        coordinator.went_offline = self.begin
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def begin(self) -> None:
        """Look from now on; called on the coordinator's thread."""
        if self._thread is None and not self._closing.is_set():
            self._thread = threading.Thread(target=self._run, name="offline", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._closing.set()

    def _run(self) -> None:
        name_this_thread("offline")
        while not self._closing.wait(PERIOD):
            try:
                folders = self._folders()
            except HeddleError:  # closing
                return
            if not folders:
                return
            for (job, folder), paths in folders.items():
                # The first that is there speaks for its folder: what is gone for good fails when it is read.
                if any(os.path.exists(path) for path in paths[:8]):
                    log.info("a source is back: %d documents of job %s", len(paths), job)
                    self._bring_back(job, folder)

    def _folders(self) -> dict[tuple[str, str], list[str]]:
        """Return the paths of offline documents by job and folder; with none, this thread's time is over."""

        def look() -> dict[tuple[str, str], list[str]]:
            found: dict[tuple[str, str], list[str]] = {}
            for job in self._coordinator.jobs.values():
                if job.pile.counts[State.OFFLINE]:
                    for document in job.pile.documents.values():
                        if document.record.state == State.OFFLINE:
                            path = document.record.path
                            found.setdefault((job.id, os.path.dirname(path)), []).append(path)
            if not found:
                self._thread = None
            return found

        return self._coordinator.call(look)

    def _bring_back(self, name: str, folder: str) -> None:
        """Let the documents of ``folder`` that were offline wait for a worker again."""
        coordinator = self._coordinator

        def back() -> None:
            job = coordinator.jobs.get(name)
            if job is None:
                return
            there = job.pile.numbers(
                lambda d: d.record.state == State.OFFLINE and os.path.dirname(d.record.path) == folder
            )
            job.states.come_back(there)
            coordinator.line_up(job, there)
            coordinator.update(job)

        coordinator.call(back)
