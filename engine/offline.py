"""Sources that went offline: their documents wait, and somebody looks whether the folder is back."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

from engine.documents.document import State
from engine.metrics.threads import name_this_thread

if TYPE_CHECKING:
    from engine.runner import Runner
    from engine.store.record import Record

log = logging.getLogger(__name__)

PERIOD = 2.0
"""Seconds between two looks."""


class OfflineWatch:
    """Looks for documents that are offline, on a thread that lives only while there are some.

    A look at a share that does not answer can take for ever; nobody waits for this thread.
    """

    def __init__(self, runner: Runner) -> None:
        """Bring back documents of ``runner``."""
        self._runner = runner
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def begin(self) -> None:
        """Look from now on; called under the runner's lock."""
        if self._thread is None and not self._closing.is_set():
            self._thread = threading.Thread(target=self._run, name="offline", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._closing.set()

    def _run(self) -> None:
        name_this_thread("offline")
        while not self._closing.wait(PERIOD):
            folders = self._folders()
            if not folders:
                return
            for (job, folder), paths in folders.items():
                # The first that is there speaks for its folder: what is gone for good fails when it is read.
                if any(os.path.exists(path) for path in paths[:8]):
                    log.info("a source is back: %d documents of job %s", len(paths), job)
                    self._bring_back(job, folder)

    def _folders(self) -> dict[tuple[str, str], list[str]]:
        """Return the paths of offline documents by job and folder; with none, this thread's time is over."""
        found: dict[tuple[str, str], list[str]] = {}
        with self._runner.lock:
            for job in self._runner.jobs.values():
                if job.counts[State.OFFLINE]:
                    for document in job.documents.values():
                        if document.record.state == State.OFFLINE:
                            path = document.record.path
                            found.setdefault((job.id, os.path.dirname(path)), []).append(path)
            if not found:
                self._thread = None
        return found

    def _bring_back(self, name: str, folder: str) -> None:
        """Let the documents of ``folder`` that were offline wait for a lane again."""
        runner = self._runner
        with runner.lock:
            job = runner.jobs.get(name)
            if job is None:
                return
            back: list[Record] = []
            for number, document in job.documents.items():
                if document.record.state == State.OFFLINE and os.path.dirname(document.record.path) == folder:
                    job.change(number, state=str(State.WAITING), reason=document.note)
                    job.line_up(number)
                    back.append(document.record)
            runner.kept_in(job).update_documents(back)
            runner.work.notify_all()
