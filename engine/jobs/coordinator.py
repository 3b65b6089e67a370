"""The coordinator: the one owner of job state and of the scheduler, an actor with a mailbox.

Workers post what came of their work, everybody else asks; both are served by one thread, in order. It hands work to the
workers' inboxes, applies outputs to documents, and writes the journal, which never waits for the disk.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from engine.api.state import State
from engine.errors import HeddleError, UsageError
from engine.jobs.dispatcher import Dispatcher
from engine.jobs.ending import finish_job, is_over
from engine.jobs.job import LIVE, Job
from engine.jobs.mailbox import Mailbox
from engine.jobs.outputs import apply
from engine.jobs.question import key, question
from engine.jobs.text_cache import TextCache
from engine.jobs.throughput import Throughput
from engine.jobs.waiters import Waiters
from engine.jobs.wanted_once import wanted_once
from engine.jobs.worker_table import WorkerTable
from engine.requests.capability import ENCODE
from engine.scheduling.policies import Policy
from engine.scheduling.scheduler import Scheduler

if TYPE_CHECKING:
    from engine.store.journal import Journal
    from engine.store.record import Record
    from engine.telemetry.activity import Board
    from engine.telemetry.meter import WorkerMeter
    from engine.workers.inbox import Inbox
    from engine.workers.message import Message

log = logging.getLogger(__name__)

T = TypeVar("T")

BACKLOG = 20_000
"""Rows that may wait for the disk before workers wait too."""

LOOK_AGAIN = 0.5
"""Seconds after which the disk is looked at again while it refuses: nobody posts then."""


class Coordinator:
    """Jobs, their documents, the scheduler and the workers' inboxes; nobody else changes them."""

    def __init__(self, journal: Journal, helpers: Executor, board: Board) -> None:
        """Write to ``journal``; tasks are advanced by ``helpers``. No workers are there yet."""
        self.journal = journal
        self.board = board
        """What helpers and workers are doing."""
        self.deaf: set[str] = set()
        """Folders that the engine before did not come back from; the next adding leaves them out."""
        self.scheduler = Scheduler()
        self.jobs: dict[str, Job] = {}
        self.workers = WorkerTable()
        self.texts = TextCache()
        self.throughput = Throughput()
        self.dispatcher = Dispatcher(
            self.jobs,
            self.scheduler,
            self.workers,
            journal,
            self.texts,
            self.key_of,
        )
        self.model = ""
        """What stands for the model in questions (question.model_key); empty while none is known."""
        self.closing = False
        self.went_offline: Callable[[], None] = lambda: None
        """Called when documents wait for a disk that is not there."""
        self._helpers = helpers
        self._waiters = Waiters(lambda: self.closing)
        self._next_document = journal.last_document_id() + 1
        self._numbers = threading.Lock()
        self._mailbox: Mailbox[tuple[int, Message]] = Mailbox("coordinator", self._hear, self._settle)
        journal.changed = lambda record: void(self.ask(partial(self._journal_changed, record)))
        journal.stopped = lambda problem: void(self.ask(partial(self._journal_stopped, problem)))

    # ------------------------------------------------------------------------------------------------------------- the actor
    def call(self, function: Callable[[], T]) -> T:
        """Return what ``function`` returns on the coordinator's thread, the only one that may touch jobs."""
        return self._mailbox.call(function)

    def ask(self, function: Callable[[], T]) -> Future[T]:
        """Let ``function`` run on the coordinator's thread; the future gives what it returns."""
        return self._mailbox.ask(function)

    def when(self, condition: Callable[[], bool]) -> Future[None]:
        """Return a future that is done once ``condition``, asked on the coordinator's thread, is true or all is closed."""
        future: Future[None] = Future()

        def refused(asked: Future[None]) -> None:
            problem = asked.exception()
            if problem is not None and future.set_running_or_notify_cancel():
                future.set_exception(problem)

        self.ask(lambda: self._waiters.add(condition, future)).add_done_callback(refused)
        return future

    def help(self, function: Callable[[], T], then: Callable[[T | None, BaseException | None], None]) -> None:
        """Let a helper run ``function``, and ``then`` the coordinator's thread take in what it returned or raised."""

        def told(future: Future[T]) -> None:
            if not future.cancelled():
                error = future.exception()
                self.ask(partial(then, None if error else future.result(), error))

        try:
            self._helpers.submit(function).add_done_callback(told)
        except RuntimeError:  # the engine is closing
            log.debug("nobody helps any more")

    def close(self) -> None:
        """End all workers within a layer; what they hold stays unfinished and waits again when the session is reopened."""

        def end() -> None:
            if self.closing:
                return
            self.closing = True
            for job in self.jobs.values():
                job.end_run()
            self.journal.in_flight.land_all()  # what is cut off now is to blame for nothing
            self.close_workers()

        with contextlib.suppress(HeddleError):  # closed already
            self.call(end)

    def end(self, seconds: float) -> bool:
        """End the thread once what was posted is done; False when ``seconds`` were not enough."""
        return self._mailbox.close(seconds)

    def _hear(self, posted: tuple[int, Message]) -> None:
        generation, message = posted
        if generation == self.workers.generation:
            apply(self, message)

    def _settle(self) -> float | None:
        """Hand out work and tell who waits; returns the seconds after which to look again though nobody posts."""
        patience: float | None = None
        if not self.closing:
            if self.journal.problem or self.journal.backlog > BACKLOG:
                patience = LOOK_AGAIN
            else:
                self.dispatcher.hand_out()
        self._waiters.tell()
        return patience

    # ----------------------------------------------------------------------------------------------------------- the journal
    def _journal_changed(self, record: Record) -> None:
        """Take in that the journal has put a document into another state: it could not be kept, or was damaged."""
        job = self.jobs.get(record.job)
        document = job.pile.documents.get(record.id) if job is not None else None
        if job is None or document is None or document.record.state == record.state:
            return
        self.scheduler.withdraw(job.id, [record.id])
        job.states.taken_by_journal(record)
        if record.state == State.WAITING:
            self.line_up(job, [record.id])
        self.update(job)

    def _journal_stopped(self, problem: str) -> None:
        """Take in that the journal takes nothing any more: jobs pause, and say why, also those that ended unwritten."""
        written = self.journal.acknowledged
        for job in list(self.jobs.values()):
            if job.status in LIVE or any(document.ticket > written for document in job.pile.documents.values()):
                self.halt(job, problem)

    # --------------------------------------------------------------------------------------------------------------- workers
    def open_workers(
        self, count: int, device: str, policy: Policy, capability: str = ENCODE
    ) -> tuple[list[Inbox], list[WorkerMeter], Callable[[Message], None], int]:
        """Let ``count`` new workers take work by ``policy``; returns their inboxes, meters, how they post, their generation."""

        def begin() -> tuple[list[Inbox], list[WorkerMeter], Callable[[Message], None], int]:
            workers = self.workers
            for worker in range(len(workers.meters)):
                self._give_up(worker)
            workers.open(count, device, capability)
            self.scheduler.set_workers(count, policy)
            for job in self.jobs.values():
                if job.live and job.task is not None and (reason := workers.mismatch(job.task)):
                    self.halt(job, reason)
            generation = workers.generation
            post = self._mailbox.post
            return list(workers.inboxes), list(workers.meters), lambda m: post((generation, m)), generation

        return self.call(begin)

    def close_workers(self) -> None:
        """Make every worker end after what it is doing; what it had not begun waits again."""
        self.call(self.dispatcher.close_inboxes)

    def _give_up(self, worker: int) -> None:
        """Let all that a worker has wait again, which does not come back; a job that has nothing left ends."""
        for work in self.scheduler.works(worker):
            self.dispatcher.hand_back(worker, work)
            if work.job in self.jobs:
                self.update(self.jobs[work.job], after_work=True)
        self.scheduler.lost(worker)

    def worker_ended(self, worker: int, generation: int, why: str) -> None:
        """Count on ``worker`` no more: it ended unexpectedly. Jobs pause when it was the last one; they would wait forever."""

        def end() -> None:
            workers = self.workers
            if generation != workers.generation or worker >= len(workers.meters):
                return
            workers.ended(worker)
            self._give_up(worker)
            if not self.scheduler.alive:
                workers.gone = (
                    f"No worker is left, the last one ended unexpectedly: {why}. Start the engine again and resume."
                )
                for job in self.jobs.values():
                    if job.status in LIVE:
                        self.halt(job, workers.gone)

        self.ask(end)

    # ---------------------------------------------------------------------------------------------------------------- jobs
    def number(self) -> int:
        """Return the next document id; may be called from any thread."""
        with self._numbers:
            self._next_document += 1
            return self._next_document - 1

    def put(self, job: Job) -> None:
        """Take a job in; one that ran in an earlier life pauses if the model that is open now cannot do its task."""
        if job.live and (obstacle := self.workers.obstacle(job.task)):
            job.set_status("paused", obstacle)
        self.jobs[job.id] = job
        self.scheduler.add_job(job.id, job.priority, job.created)
        self.line_up(job, job.pile.numbers(lambda d: d.record.state == State.WAITING))
        self.set_up_anew(job)
        self.update(job)

    def take_out(self, job: Job) -> None:
        """Forget a job of which nothing is under way."""
        self.jobs.pop(job.id, None)
        self.scheduler.remove_job(job.id)
        self.texts.forget(job.pile.documents.values())

    def job(self, name: str) -> Job:
        """Return a job in memory; raises UsageError for one that is not there."""
        found = self.jobs.get(name)
        if found is None:
            raise UsageError(f"There is no job {name!r}.")
        return found

    def line_up(self, job: Job, numbers: Iterable[int]) -> None:
        """Let waiting documents be read: soon, or alone and after all others if the engine died with them."""
        documents = [(n, job.pile.documents[n].record) for n in numbers]
        self.scheduler.add_documents(job.id, ((n, r.size) for n, r in documents if not r.deaths))
        self.scheduler.add_documents(job.id, ((n, r.size) for n, r in documents if r.deaths), suspect=True)

    def set_up_anew(self, job: Job) -> None:
        """Let what the job needs once be computed (again), if it needs something."""
        job.outputs = None
        needed = bool(wanted_once(job))
        self.scheduler.need_set_up(job.id, needed=needed)
        if not needed:
            job.outputs = {}

    def update(self, job: Job, *, after_work: bool = False) -> None:
        """Let the scheduler know whether work of the job may be handed out, and end the job if nothing is left of it.

        A pause may come when everything is in work already: ``after_work``, a paused job ends as well.
        """
        if self.closing or self.jobs.get(job.id) is not job:  # what is cut off by the end is not over
            return
        (self.scheduler.open if job.live and not job.looking else self.scheduler.close)(job.id)
        self.scheduler.expect(job.id, more=job.adding > 0)
        ends = job.live or (after_work and job.status == "paused" and job.task is not None)
        if ends and is_over(self, job):
            finish_job(self, job)

    def halt(self, job: Job, message: str = "") -> None:
        """Pause a job: no more of it is handed out, what workers have begun is finished."""
        job.set_status("paused", message)
        self.dispatcher.take_back(job)
        # The rest of documents of which a part is done.
        holds = self.dispatcher.holds
        job.states.wait_again(job.pile.numbers(lambda d: d.record.state == State.RUNNING and not holds(d.record.id)))
        self.update(job)

    def key_of(self, job: Job, record: Record) -> str:
        """Return the key of the job's answer about a document; empty when it cannot be told."""
        if job.task is None:
            return ""
        job.question = job.question or question(job.task, self.model, job.encoding, job.on_bad_bytes)
        return key(job.question, job.task, record)

    def keep_output(self, job: Job, number: int, name: str) -> None:
        """Let the journal have an output of a document's step until that ends, with what it answers."""
        job.states.keep_output(number, name, self.key_of(job, job.pile.documents[number].record))


def void(_: object) -> None:
    """Take what nobody needs."""
