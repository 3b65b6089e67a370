"""The list of jobs: all of the journal, of which only those that somebody looks at or that run are in memory."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.api.facts import JobFacts
from engine.api.state import State
from engine.errors import UsageError
from engine.jobs import control
from engine.jobs.document import Document
from engine.jobs.ingest import add_documents, added
from engine.jobs.job import LIVE, Job
from engine.jobs.recovery import bring_back
from engine.store.record import JobRecord, Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.jobs.coordinator import Coordinator

DELETED = "deleted"
"""Status of a job that is only kept so that its deletion can be undone; it goes at the engine's next start."""

AWAKE = frozenset({*LIVE, "paused"})
"""Statuses of jobs that come back into memory by themselves: they run, or are meant to go on."""


class JobList:
    """Takes jobs out of the journal and puts them back. All methods may be called from any thread."""

    def __init__(self, coordinator: Coordinator) -> None:
        """Serve the journal of ``coordinator``."""
        self.coordinator = coordinator
        self.journal = coordinator.journal
        self._before: dict[str, str] = {}
        """Statuses of deleted jobs before their deletion."""

    def sweep(self) -> None:
        """Remove for good what was deleted before this start."""
        for kept in self.journal.jobs():
            if kept.status == DELETED:
                self.journal.remove_job(kept.id)

    def list(self) -> tuple[JobFacts, ...]:
        """Return all jobs, oldest first; raises HeddleError while the journal cannot be read."""
        kept = [record for record in self.journal.jobs() if record.status != DELETED]
        counts = self.journal.counts_by_job()
        none = {str(state): 0 for state in State}
        return tuple(self._facts(record, none | counts.get(record.id, {})) for record in kept)

    def _facts(self, kept: JobRecord, counts: dict[str, int]) -> JobFacts:
        facts = JobFacts(
            kept.id, kept.name, kept.created, kept.task, kept.settings, kept.status, kept.priority, kept.model, counts
        )

        def newest() -> JobFacts:
            job = self.coordinator.jobs.get(kept.id)
            if job is None:
                return facts
            return replace(facts, status=job.told, priority=job.priority, counts=dict(job.pile.counts), open=True)

        return self.coordinator.call(newest)

    def facts(self, job: str) -> JobFacts:
        """Return one job; raises UsageError for one that does not exist."""
        kept = self._kept(job)
        return self._facts(kept, self.journal.counts(job))

    def _kept(self, job: str) -> JobRecord:
        kept = self.journal.job(job)
        if kept is None or kept.status == DELETED:
            raise UsageError(f"There is no job {job!r}.")
        return kept

    def show(self, job: str) -> JobFacts:
        """Bring a job into memory if it is not; its rows come with the next snapshots, all of them."""

        def there() -> bool:
            found = self.coordinator.jobs.get(job)
            if found is not None:
                found.shown += 1
            return found is not None

        if not self.coordinator.call(there):
            bring_back(self.coordinator, self._kept(job))
        return self.facts(job)

    def put_away(self, job: str) -> None:
        """Take a job out of memory; raises UsageError while workers work for it or its files are still being added."""

        def take_out() -> None:
            found = self.coordinator.jobs.get(job)
            if found is not None:
                self._refuse_busy(found)
                self.coordinator.take_out(found)

        self.coordinator.call(take_out)

    def _refuse_busy(self, job: Job) -> None:
        busy = not control.settled(self.coordinator, job) or self.coordinator.scheduler.is_counting(job.id)
        if job.status in LIVE or busy or job.adding or job.looking:
            raise UsageError(f"{job.name or 'The job'} is being worked on. Pause or stop it first.")

    def rename(self, job: str, name: str) -> None:
        """Give a job another name; raises UsageError for an empty one."""
        name = " ".join(name.split())
        if not name:
            raise UsageError("A job needs a name.")
        self._kept(job)

        def change() -> None:
            found = self.coordinator.jobs.get(job)
            if found is not None:
                found.name = name
            self.journal.update_job(job, name=name)

        self.coordinator.call(change)

    def delete(self, job: str) -> None:
        """Put a job where only ``restore`` finds it; raises UsageError while it runs."""
        kept = self._kept(job)
        self.put_away(job)
        self._before[job] = kept.status
        self.journal.update_job(job, status=DELETED)

    def restore(self, job: str) -> JobFacts:
        """Undo ``delete``; raises UsageError for a job that was not deleted since the start."""
        before = self._before.pop(job, None)
        if before is None:
            raise UsageError("This job cannot be brought back any more.")
        self.journal.update_job(job, status=before)
        return self.facts(job)

    def duplicate(self, job: str, copy: str, name: str) -> JobFacts:
        """Make the job ``copy`` with the documents and the task of ``job``, all of them waiting; in memory at once."""
        kept = self._kept(job)
        if self.journal.job(copy) is not None:
            raise UsageError(f"There is a job {copy!r} already.")
        made = Job(
            copy, self.journal, name or kept.name, time.time(), task_name=kept.task, settings=dict(kept.settings)
        )
        made.encoding, made.on_bad_bytes = kept.encoding, kept.on_bad_bytes

        def begin() -> dict[int, str | None]:
            source = self.coordinator.jobs.get(job)
            if source is not None:
                made.task = source.task
            made.adding = 1
            self.journal.add_job(made.record(model=kept.model))
            self.coordinator.put(made)
            documents = source.pile.documents if source is not None else {}
            return {n: d.text for n, d in documents.items() if d.in_memory}

        texts = self.coordinator.call(begin)
        try:
            add_documents(self.coordinator, made, list(self._copies(made, self.journal.documents(job), texts)))
        finally:
            added(self.coordinator, made)
        return self.facts(copy)

    def _copies(self, job: Job, records: Iterable[Record], texts: dict[int, str | None]) -> Iterable[Document]:
        for record in records:
            number = self.coordinator.number()
            skipped = record.state == State.SKIPPED
            fresh = Record(
                number,
                job.id,
                number,
                record.path,
                record.size,
                record.mtime_ns,
                record.sha256,
                record.encoding,
                record.confidence,
                record.state if skipped else str(State.WAITING),
                record.reason if skipped else "",
                locator=record.locator,
            )
            text = texts.get(record.id)
            yield Document(fresh, text=text, in_memory=text is not None)

    def run_first(self, job: Job, documents: Iterable[int]) -> int:
        """Let documents run before others that have not been read yet; returns how many of them still waited."""
        return self.coordinator.call(lambda: self.coordinator.scheduler.run_first(job.id, list(documents)))
