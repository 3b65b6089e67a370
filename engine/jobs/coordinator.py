"""The coordinator: the one owner of job state and of the scheduler, an actor with a mailbox.

Workers post what came of their work, everybody else asks; both are served by one thread, in order. It hands work to the
workers' inboxes, applies outputs to documents, and writes the journal, which never waits for the disk.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from engine.api.state import State
from engine.errors import HeddleError, UsageError
from engine.jobs.advance import Advance, Advanced, advance
from engine.jobs.job import LIVE, Job
from engine.jobs.mailbox import Mailbox
from engine.jobs.outputs import apply
from engine.jobs.question import key, question
from engine.requests.capability import ENCODE, GENERATE
from engine.scheduling.policies import Policy
from engine.scheduling.scheduler import Scheduler
from engine.scheduling.work import Count, More, Read, Run, SetUp, Work
from engine.tasks.base import Outcome, Step
from engine.telemetry.meter import WorkerMeter
from engine.workers.assignment import Assignment, JobRun, Unread
from engine.workers.inbox import Inbox
from engine.workers.reading import let_exits_through, said

if TYPE_CHECKING:
    from engine.requests.item import WorkItem
    from engine.requests.request import Request
    from engine.store.journal import Journal
    from engine.store.record import Record
    from engine.tasks.base import Task
    from engine.telemetry.activity import Board
    from engine.workers.message import Message

log = logging.getLogger(__name__)

T = TypeVar("T")

BACKLOG = 20_000
"""Rows that may wait for the disk before workers wait too."""

LOOK_AGAIN = 0.5
"""Seconds after which the disk is looked at again while it refuses: nobody posts then."""

TEXT_CACHE = 64 << 20
"""Characters of text kept from adding until a worker takes them; beyond that a document is read again."""

ENDED = "ended"
"""The activity of a worker that is gone before its plan is over."""


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
        self.meters: list[WorkerMeter] = []
        self.capability = ENCODE
        """What the open model can do, and so the jobs that its workers take."""
        self.gone = ""
        """Why no worker is left, though some were opened; empty while there are any."""
        self.model = ""
        """What stands for the model in questions (question.model_key); empty while none is known."""
        self.documents_done = 0
        self.tokens_done = 0
        self.ttft: deque[float] = deque(maxlen=10_000)
        """Times to the first token of the newest answers, in seconds."""
        self.text_cached = 0
        self.runs: dict[int, JobRun] = {}
        """The run that each piece of work belongs to, by the identity of the work."""
        self.closing = False
        self.went_offline: Callable[[], None] = lambda: None
        """Called when documents wait for a disk that is not there."""
        self._helpers = helpers
        self._inboxes: list[Inbox] = []
        self._generation = 0
        self._attempts: dict[int, dict[int, int]] = {}
        """The attempt (Document.attempt) for which each document of work that reads is read, by the identity of the work."""
        self._held: Counter[int] = Counter()
        """Items of each document that workers hold."""
        self._waiters: list[tuple[Callable[[], bool], Future[None]]] = []
        self._recent: deque[tuple[float, int, int]] = deque(maxlen=4096)
        self._next_document = journal.last_document_id() + 1
        self._numbers = threading.Lock()
        self._mailbox: Mailbox[tuple[int, Message]] = Mailbox("coordinator", self._hear, self._settle)
        journal.changed = lambda record: void(self.ask(partial(self._journal_changed, record)))
        journal.stopped = lambda problem: void(self.ask(partial(self._journal_stopped, problem)))

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

        def wait() -> None:
            if not self._is_told(condition, future):
                self._waiters.append((condition, future))

        def refused(asked: Future[None]) -> None:
            problem = asked.exception()
            if problem is not None and future.set_running_or_notify_cancel():
                future.set_exception(problem)

        self.ask(wait).add_done_callback(refused)
        return future

    def _is_told(self, condition: Callable[[], bool], future: Future[None]) -> bool:
        """Finish ``future`` if its condition holds, or cannot be told; tells whether it is waited for no more."""
        problem: Exception | None = None
        try:
            if not (self.closing or condition()):
                return future.cancelled()
        except Exception as error:  # noqa: BLE001 - it belongs to the one who asked
            problem = error
        if future.set_running_or_notify_cancel():  # whoever gives up waiting does so before this, or not at all
            future.set_result(None) if problem is None else future.set_exception(problem)
        return True

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
        if generation == self._generation:
            apply(self, message)

    def _settle(self) -> float | None:
        patience = self._hand_out()
        self._waiters = [waiter for waiter in self._waiters if not self._is_told(*waiter)]
        return patience

    # --------------------------------------------------------------------------------------------------------------- workers
    def open_workers(
        self, count: int, device: str, policy: Policy, capability: str = ENCODE
    ) -> tuple[list[Inbox], list[WorkerMeter], Callable[[Message], None], int]:
        """Let ``count`` new workers take work by ``policy``; returns their inboxes, meters, how they post, their generation."""

        def begin() -> tuple[list[Inbox], list[WorkerMeter], Callable[[Message], None], int]:
            self._forget_workers()
            self._generation += 1
            self.capability, self.gone = capability, ""
            self._inboxes = [Inbox() for _ in range(count)]
            self.meters = [WorkerMeter(device) for _ in range(count)]
            self.scheduler.set_workers(count, policy)
            for job in self.jobs.values():
                if job.live and job.task is not None and (reason := self.mismatch(job.task)):
                    self.halt(job, reason)
            generation = self._generation
            return list(self._inboxes), list(self.meters), lambda m: self._mailbox.post((generation, m)), generation

        return self.call(begin)

    def mismatch(self, task: Task) -> str:
        """Return why the open model cannot do ``task``; empty when it can."""
        if task.needs == self.capability:
            return ""
        if task.needs == GENERATE:
            return (
                f"The task {task.name} needs a text generator, and the loaded model makes vectors. Open another model."
            )
        return f"The task {task.name} needs an embedding model, and the loaded model writes text. Open another model."

    def close_workers(self) -> None:
        """Make every worker end after what it is doing; what it had not begun waits again."""

        def end() -> None:
            for worker, inbox in enumerate(self._inboxes):
                for assignment in inbox.close():
                    self.hand_back(worker, assignment.work)
            self._inboxes = []

        self.call(end)

    def _forget_workers(self) -> None:
        """Let what the workers before still have wait again."""
        for worker in range(len(self.meters)):
            self._give_up(worker)
        self.meters = []

    def _give_up(self, worker: int) -> None:
        """Let all that a worker has wait again, which does not come back; a job that has nothing left ends."""
        for work in self.scheduler.works(worker):
            self.hand_back(worker, work)
            if work.job in self.jobs:
                self.update(self.jobs[work.job], after_work=True)
        self.scheduler.lost(worker)

    def hand_back(self, worker: int, work: Work) -> None:
        """Let what is still wanted of work that nobody will bring back wait again."""
        job = self.jobs.get(work.job)
        goes_on = job is not None and job.goes_on(self.runs.get(id(work)))

        def wants_document(number: int) -> bool:
            if job is None:
                return False
            return (
                job.pile.waits(number) if isinstance(work, Count) else goes_on and self.still_wanted(job, work, number)
            )

        def wants_item(item: WorkItem) -> bool:
            return job is not None and goes_on and self.waits_for(job, item)

        self.scheduler.hand_back(worker, work, wants_document, wants_item)
        self.let_go(work)
        if job is not None and goes_on and isinstance(work, Run):
            # The rest of documents of which no worker has anything.
            job.states.wait_again(n for n in dict.fromkeys(_numbers(work)) if job.pile.runs(n) and not self._held[n])

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
        return (
            job.pile.waits(number)
            if isinstance(work, Read)
            else document.step is not None and bool(document.step.rests)
        )

    def worker_ended(self, worker: int, generation: int, why: str) -> None:
        """Count on ``worker`` no more: it ended unexpectedly. Jobs pause when it was the last one; they would wait forever."""

        def end() -> None:
            if generation != self._generation or worker >= len(self.meters):
                return
            self.meters[worker].activity = ENDED
            if worker < len(self._inboxes):
                self._inboxes[worker].close()
            self._give_up(worker)
            if not self.scheduler.alive:
                self.gone = (
                    f"No worker is left, the last one ended unexpectedly: {why}. Start the engine again and resume."
                )
                for job in self.jobs.values():
                    if job.status in LIVE:
                        self.halt(job, self.gone)

        self.ask(end)

    # ------------------------------------------------------------------------------------------------------------ handing out
    def _hand_out(self) -> float | None:
        """Give every worker what it may have; returns the seconds after which to try again though nobody posts."""
        if self.closing:
            return None
        if self.journal.problem or self.journal.backlog > BACKLOG:
            return LOOK_AGAIN
        busy = True
        while busy:
            busy = False
            for worker, inbox in enumerate(self._inboxes):
                work = self.scheduler.next(worker)
                if work is not None:
                    busy = True
                    inbox.put(self._assignment(worker, work))
        return None

    def _assignment(self, worker: int, work: Work) -> Assignment:
        job = self.jobs[work.job]
        if isinstance(work, Count):
            run = JobRun(job.id, job.task, job.encoding, job.on_bad_bytes, job.count_stop)
            return Assignment(work, run, tuple(self._unread(job, n, keep=True) for n in work.documents))
        run = job.run
        self.runs[id(work)] = run
        numbers = set(_numbers(work))
        job.took(1, numbers if isinstance(work, Run) else ())
        if job.status == "queued":
            job.set_status("running")
        if not job.trial and numbers:
            self.journal.in_flight.take(numbers)
        outputs = job.outputs or {}
        if isinstance(work, SetUp):
            return Assignment(work, run, requests=self._wanted_once(job))
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
        record, text = document.record, document.text
        if document.kept:
            document.asked = self.key_of(job, record)
        if text is not None and not document.in_memory and not keep:
            document.text = None
            self.text_cached -= len(text)
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
        )

    def let_go(self, work: Work) -> None:
        """Take in that no worker has ``work`` any more."""
        self._attempts.pop(id(work), None)
        if self.runs.pop(id(work), None) is None:
            return
        numbers = set(_numbers(work))
        if isinstance(work, Run):
            for item in work.items:
                self._held[item.document] -= 1
                if not self._held[item.document]:
                    del self._held[item.document]
        free = {number for number in numbers if number not in self._held}
        self.journal.in_flight.land(free)
        job = self.jobs.get(work.job)
        if job is None:
            return
        job.took(-1, free=free)
        if job.status not in LIVE:  # the rest of documents of which a part is done; workers get no more of them
            job.states.wait_again(number for number in free if job.pile.runs(number))

    # ---------------------------------------------------------------------------------------------------------------- jobs
    def number(self) -> int:
        """Return the next document id; may be called from any thread."""
        with self._numbers:
            self._next_document += 1
            return self._next_document - 1

    def put(self, job: Job) -> None:
        """Take a job in."""
        self.jobs[job.id] = job
        self.scheduler.add_job(job.id, job.priority, job.created)
        self.line_up(job, job.pile.numbers(lambda d: d.record.state == State.WAITING))
        self.set_up_anew(job)
        self.update(job)

    def take_out(self, job: Job) -> None:
        """Forget a job of which nothing is under way."""
        self.jobs.pop(job.id, None)
        self.scheduler.remove_job(job.id)
        self.text_cached -= sum(
            len(d.text) for d in job.pile.documents.values() if d.text is not None and not d.in_memory
        )

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
        needed = bool(self._wanted_once(job))
        self.scheduler.need_set_up(job.id, needed=needed)
        if not needed:
            job.outputs = {}

    def _wanted_once(self, job: Job) -> tuple[Request, ...]:
        """Return what the task wants answered once; a task's fault there pauses its job."""
        try:
            return () if job.task is None else tuple(job.task.prepare_job())
        except BaseException as error:  # noqa: BLE001 - whatever a task's own code raises
            let_exits_through(error)
            if job.status in LIVE:
                job.set_status("paused", f"The task's own texts could not be made: {said(error)}")
            return ()

    def update(self, job: Job, *, after_work: bool = False) -> None:
        """Let the scheduler know whether work of the job may be handed out, and end the job if nothing is left of it.

        A pause may come when everything is in work already: ``after_work``, a paused job ends as well.
        """
        if self.closing or self.jobs.get(job.id) is not job:  # what is cut off by the end is not over
            return
        (self.scheduler.open if job.live and not job.looking else self.scheduler.close)(job.id)
        self.scheduler.expect(job.id, more=job.adding > 0)
        ends = job.live or (after_work and job.status == "paused" and job.task is not None)
        if ends and self._is_over(job):
            self._finish(job)

    def _is_over(self, job: Job) -> bool:
        left = job.adding or job.looking or job.advancing or job.finishing or job.pile.counts[State.OFFLINE]
        return not left and self.scheduler.is_idle(job.id)

    def _finish(self, job: Job) -> None:
        finish = getattr(job.task, "finish_job", None)
        if finish is None or job.trial:
            self._end_job(job)
            return
        job.finishing = True
        assert job.task is not None
        self._help(partial(self._finish_job, job, finish), partial(self._finished, job, job.task))

    def _finish_job(
        self, job: Job, finish: Callable[..., dict[int, dict[str, object]]]
    ) -> dict[int, dict[str, object]]:
        rows = {record.id: result.value for record, result in self.journal.results(job.id) if result is not None}
        return finish(rows)

    def _finished(
        self, job: Job, task: Task, changed: dict[int, dict[str, object]] | None, error: BaseException | None
    ) -> None:
        job.finishing = False
        if self.closing or self.jobs.get(job.id) is not job or job.status not in (*LIVE, "paused"):
            return  # it was stopped meanwhile
        if job.task is not task or not self._is_over(job):  # more came meanwhile, and the end is looked at again
            self.update(job)
            return
        if error is None:
            try:
                self._revise(job, task, changed or {})
            except Exception as problem:  # noqa: BLE001 - whatever a task's values are
                error = problem
        if error is not None:
            log.error("the task could not finish its job", exc_info=error)
            self.halt(job, f"The task failed at the end of the job: {said(error)}")
            return
        self._end_job(job)

    def _end_job(self, job: Job) -> None:
        """Let a job be finished; what is added later waits until it is started again."""
        job.set_status("finished")
        self.scheduler.close(job.id)

    def _revise(self, job: Job, task: Task, changed: dict[int, dict[str, object]]) -> None:
        for number, value in changed.items():
            document = job.pile.documents.get(number)
            result = self.journal.result(number) if document is not None else None
            if result is not None:
                job.states.revise(number, Outcome(value, task.summary(value)), result)

    def halt(self, job: Job, message: str = "") -> None:
        """Pause a job: no more of it is handed out, what workers have begun is finished."""
        job.set_status("paused", message)
        self.take_back(job)
        # The rest of documents of which a part is done.
        job.states.wait_again(
            job.pile.numbers(lambda d: d.record.state == State.RUNNING and not self._held[d.record.id])
        )
        self.update(job)

    def take_back(self, job: Job | None = None) -> None:
        """Take back what workers have not begun of ``job``, or of all jobs."""
        for worker, inbox in enumerate(self._inboxes):
            for assignment in inbox.take_back():
                if (job is None or assignment.work.job == job.id) and not isinstance(assignment.work, Count):
                    self.hand_back(worker, assignment.work)
                else:
                    inbox.put(assignment)

    def key_of(self, job: Job, record: Record) -> str:
        """Return the key of the job's answer about a document; empty when it cannot be told."""
        if job.task is None:
            return ""
        job.question = job.question or question(job.task, self.model, job.encoding, job.on_bad_bytes)
        return key(job.question, job.task, record)

    def keep_output(self, job: Job, number: int, name: str) -> None:
        """Let the journal have an output of a document's step until that ends, with what it answers."""
        job.states.keep_output(number, name, self.key_of(job, job.pile.documents[number].record))

    # ------------------------------------------------------------------------------------------------------------- advancing
    def advance(self, job: Job, documents: list[Advance]) -> None:
        """Let helpers advance the task of documents whose step is complete."""
        if not documents or job.task is None:
            return
        job.advancing += len(documents)
        task, outputs, run = job.task, job.outputs or {}, job.run
        self._help(lambda: advance(task, outputs, documents), partial(self._advanced, job, run, documents))

    def _advanced(
        self, job: Job, run: JobRun, asked: list[Advance], done: list[Advanced] | None, error: BaseException | None
    ) -> None:
        job.advancing -= len(asked)
        if done is None:
            log.error("tasks could not be advanced", exc_info=error)
            reason = "the task failed" if error is None else f"the task failed: {said(error)}"
            done = [Advanced(one, None, reason) for one in asked]
        for one in done:
            if not job.goes_on(run) or one.asked.document not in job.pile.documents:
                continue
            try:
                self._take_in(job, one)
            except Exception as problem:  # whatever a task may return
                log.exception("document %d: what the task returned cannot be taken", one.asked.document)
                self.fail(job, one.asked.document, f"the task failed: {said(problem)}", one.asked.seconds)
        self.update(job, after_work=True)

    def _take_in(self, job: Job, one: Advanced) -> None:
        number, asked = one.asked.document, one.asked
        step = job.pile.documents[number].step
        if step is None or step.step != asked.step:
            return
        if isinstance(one.found, Step):
            for name in step.dear:
                self.keep_output(job, number, name)
            job.states.next_step(number, asked.step + 1, one.found.state, one.found.requests)
            self.line_up(job, [number])
        elif one.found is None:
            self.fail(job, number, one.reason, asked.seconds)
        else:
            self.finish(job, number, one.found, asked.seconds, asked.worker)

    def _help(self, function: Callable[[], T], then: Callable[[T | None, BaseException | None], None]) -> None:
        def told(future: Future[T]) -> None:
            if not future.cancelled():
                error = future.exception()
                self.ask(partial(then, None if error else future.result(), error))

        try:
            self._helpers.submit(function).add_done_callback(told)
        except RuntimeError:  # the engine is closing
            log.debug("nobody helps any more")

    # ------------------------------------------------------------------------------------------------------ ends of documents
    def finish(self, job: Job, number: int, outcome: Outcome, seconds: float, worker: int) -> None:
        """Let a document be done, or failed where its result is none."""
        try:
            job.states.done(number, outcome, self.key_of(job, job.pile.documents[number].record), seconds, worker)
        except Exception as error:  # noqa: BLE001 - a result may be anything
            reason = str(error) if isinstance(error, HeddleError) else f"the task failed: {said(error)}"
            self.fail(job, number, reason, seconds)
            return
        self._count(job, number, worker)
        self._run_stale_again(job, number)

    def fail(self, job: Job, number: int, reason: str, seconds: float, state: State = State.FAILED) -> None:
        """Let a document be failed or skipped."""
        self.scheduler.withdraw(job.id, [number])
        job.states.end(number, state, reason, seconds)
        self._count(job, number, -1)
        self._run_stale_again(job, number)

    def _run_stale_again(self, job: Job, number: int) -> None:
        if job.pile.documents[number].stale:
            job.states.run_again(number)
            self.line_up(job, [number])

    def _count(self, job: Job, number: int, worker: int) -> None:
        if job.trial:
            return
        job.pile.bytes_done += job.pile.documents[number].record.size
        self.documents_done += 1
        if 0 <= worker < len(self.meters):
            self.meters[worker].documents += 1
        self._recent.append((time.monotonic(), self.documents_done, self.tokens_done))

    def went_on(self, job: Job, tokens: int) -> None:
        """Count tokens that were computed for a job."""
        job.pile.tokens_done += tokens
        self.tokens_done += tokens
        self._recent.append((time.monotonic(), self.documents_done, self.tokens_done))

    def rates(self, window: float = 5.0) -> tuple[float, float]:
        """Return documents/s and tokens/s over the last ``window`` seconds."""
        now = time.monotonic()
        while self._recent and self._recent[0][0] < now - window:
            self._recent.popleft()
        if len(self._recent) < 2:
            return 0.0, 0.0
        begin, documents, tokens = self._recent[0]
        span = max(now - begin, 1e-3)
        return (self.documents_done - documents) / span, (self.tokens_done - tokens) / span


def _numbers(work: Work) -> Iterable[int]:
    if isinstance(work, SetUp):
        return ()
    return (item.document for item in work.items) if isinstance(work, Run) else work.documents


def void(_: object) -> None:
    """Take what nobody needs."""
