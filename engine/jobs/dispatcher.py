"""Work on its way to the workers and back: handed out one piece ahead, let go of, taken back, handed back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from engine.jobs.job import LIVE
from engine.jobs.wanted_once import wanted_once
from engine.scheduling.work import Count, More, Read, Run, SetUp, Work
from engine.workers.assignment import Assignment, JobRun, Unread

if TYPE_CHECKING:
    from engine.jobs.job import Job
    from engine.jobs.text_cache import TextCache
    from engine.jobs.worker_table import WorkerTable
    from engine.requests.item import WorkItem
    from engine.scheduling.scheduler import Scheduler
    from engine.store.journal import Journal
    from engine.store.record import Record


class Dispatcher:
    """Knows which work workers hold, of which run of its job, and for which attempt at each document."""

    def __init__(
        self,
        jobs: dict[str, Job],
        scheduler: Scheduler,
        workers: WorkerTable,
        journal: Journal,
        texts: TextCache,
        key_of: Callable[[Job, Record], str],
    ) -> None:
        """Hand work of ``jobs`` to ``workers`` as ``scheduler`` says; ``key_of`` tells which kept outputs answer a document."""
        self._jobs, self._scheduler, self._workers = jobs, scheduler, workers
        self._journal, self._texts, self._key_of = journal, texts, key_of
        self._runs: dict[int, JobRun] = {}
        """The run that each piece of work belongs to, by the identity of the work."""
        self._attempts: dict[int, dict[int, int]] = {}
        """The attempt (Document.attempt) for which each document of work that reads is read, by the identity of the work."""
        self._held: Counter[int] = Counter()
        """Items of each document that workers hold."""

    # ------------------------------------------------------------------------------------------------------------ handing out
    def hand_out(self) -> None:
        """Give every worker what it may have."""
        busy = True
        while busy:
            busy = False
            for worker, inbox in enumerate(self._workers.inboxes):
                work = self._scheduler.next(worker)
                if work is not None:
                    busy = True
                    inbox.put(self._assignment(worker, work))

    def _assignment(self, worker: int, work: Work) -> Assignment:
        job = self._jobs[work.job]
        if isinstance(work, Count):
            run = JobRun(job.id, job.task, job.encoding, job.on_bad_bytes, job.count_stop)
            return Assignment(work, run, tuple(self._unread(job, n, keep=True) for n in work.documents))
        run = job.run
        self._runs[id(work)] = run
        numbers = set(documents_of(work))
        job.took(1, numbers if isinstance(work, Run) else ())
        if job.status == "queued":
            job.set_status("running")
        if not job.trial and numbers:
            self._journal.in_flight.take(numbers)
        outputs = job.outputs or {}
        if isinstance(work, SetUp):
            return Assignment(work, run, requests=wanted_once(job))
        if isinstance(work, Read | More):
            self._attempts[id(work)] = {n: job.pile.documents[n].attempt for n in work.documents}
        if isinstance(work, Read):
            return Assignment(work, run, tuple(self._unread(job, n) for n in work.documents), outputs=outputs)
        if isinstance(work, More):
            (number,) = work.documents
            step = job.pile.documents[number].step
            rests = {} if step is None else dict(step.rests)
            return Assignment(work, run, (self._unread(job, number, keep=True),), rests=rests)
        for item in work.items:
            self._held[item.document] += 1
            job.states.begin(item.document, worker)
        return Assignment(work, run, outputs=outputs)

    def _unread(self, job: Job, number: int, *, keep: bool = False) -> Unread:
        """Return a document as a worker reads it; the text of a file is handed over, not kept, unless ``keep`` says so."""
        document = job.pile.documents[number]
        record, text, columns = document.record, document.text, document.columns
        if document.kept:
            document.asked = self._key_of(job, record)
        if not keep:
            self._texts.forget([document])
        step = document.step.step if document.next_requests is not None and document.step is not None else 0
        return Unread(
            number,
            record.path,
            record.size,
            record.mtime_ns,
            record.sha256,
            text,
            document.in_memory,
            job.pile.device(record.path),
            step,
            document.next_requests,
            document.step.state if step and document.step is not None else {},
            frozenset(document.kept_of(step)),
            document.renew,
            record.locator,
            columns,
        )

    # ----------------------------------------------------------------------------------------------------- what workers hold
    def run_of(self, work: Work) -> JobRun | None:
        """Return the run that work belongs to; None when no worker has it any more."""
        return self._runs.get(id(work))

    def holds(self, number: int) -> bool:
        """Tell whether a worker has items of a document."""
        return number in self._held

    @staticmethod
    def waits_for(job: Job, item: WorkItem) -> bool:
        """Tell whether an item belongs to the step that its document is at, and did not come back yet."""
        document = job.pile.documents.get(item.document)
        return document is not None and document.step is not None and document.step.waits_for(item)

    def still_wanted(self, job: Job, work: Work, number: int) -> bool:
        """Tell whether what is read of a document is waited for: it did not begin anew, or go on, since ``work`` was given."""
        document = job.pile.documents.get(number)
        if document is None or self._attempts.get(id(work), {}).get(number) != document.attempt:
            return False
        if isinstance(work, Read):
            return job.pile.waits(number)
        return document.step is not None and bool(document.step.rests)

    def let_go(self, work: Work) -> None:
        """Take in that no worker has ``work`` any more."""
        self._attempts.pop(id(work), None)
        if self._runs.pop(id(work), None) is None:
            return
        numbers = set(documents_of(work))
        if isinstance(work, Run):
            for item in work.items:
                self._held[item.document] -= 1
                if not self._held[item.document]:
                    del self._held[item.document]
        free = {number for number in numbers if number not in self._held}
        self._journal.in_flight.land(free)
        job = self._jobs.get(work.job)
        if job is None:
            return
        job.took(-1, free=free)
        if job.status not in LIVE:  # the rest of documents of which a part is done; workers get no more of them
            job.states.wait_again(number for number in free if job.pile.runs(number))

    # ----------------------------------------------------------------------------------------------------------- handing back
    def hand_back(self, worker: int, work: Work) -> None:
        """Let what is still wanted of work that nobody will bring back wait again."""
        job = self._jobs.get(work.job)
        goes_on = job is not None and job.goes_on(self.run_of(work))

        def wants_document(number: int) -> bool:
            if job is None:
                return False
            if isinstance(work, Count):
                return job.pile.waits(number)
            return goes_on and self.still_wanted(job, work, number)

        def wants_item(item: WorkItem) -> bool:
            return job is not None and goes_on and self.waits_for(job, item)

        self._scheduler.hand_back(worker, work, wants_document, wants_item)
        self.let_go(work)
        if job is not None and goes_on and isinstance(work, Run):
            # The rest of documents of which no worker has anything.
            rest = dict.fromkeys(documents_of(work))
            job.states.wait_again(n for n in rest if job.pile.runs(n) and not self.holds(n))

    def take_back(self, job: Job | None = None) -> None:
        """Take back what workers have not begun of ``job``, or of all jobs."""
        for worker, inbox in enumerate(self._workers.inboxes):
            for assignment in inbox.take_back():
                if (job is None or assignment.work.job == job.id) and not isinstance(assignment.work, Count):
                    self.hand_back(worker, assignment.work)
                else:
                    inbox.put(assignment)

    def close_inboxes(self) -> None:
        """Make every worker end after what it is doing; what it had not begun waits again."""
        for worker, inbox in enumerate(self._workers.inboxes):
            for assignment in inbox.close():
                self.hand_back(worker, assignment.work)
        self._workers.inboxes = []


def documents_of(work: Work) -> Iterable[int]:
    """Return the documents that work is about, one as often as it has items."""
    if isinstance(work, SetUp):
        return ()
    return (item.document for item in work.items) if isinstance(work, Run) else work.documents
