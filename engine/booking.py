"""The books: what lanes bring back, and the only place where a document changes its state. No torch, no Qt."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from engine.activity import Board
from engine.documents.document import State
from engine.errors import HeddleError
from engine.job import LIVE, Document, Job, Stop
from engine.lanes.meter import LaneMeter
from engine.lanes.reading import let_exits_through, said
from engine.lanes.work import Anchors, Batch, Count, Prepare, Prepared, Rest, Work
from engine.offline import OfflineWatch
from engine.question import key, question
from engine.renewing import run_again
from engine.store.cells import share_text
from engine.store.record import DOCUMENT_COLUMNS, Record, Result, as_failed

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.encoding.batches import WorkItem
    from engine.runner import Runner
    from engine.store.journal import Journal
    from engine.tasks.base import Answer, Outcome, TextTask, VectorTask
    from engine.trial import Scratch

log = logging.getLogger(__name__)


class Booking:
    """Jobs, lanes and totals under one lock, and what lanes do to them."""

    def __init__(self, journal: Journal) -> None:
        """Book into ``journal``."""
        self.journal = journal
        journal.changed, journal.stopped = self._journal_changed, self._journal_stopped
        self.board = Board()
        """What helpers and lanes are doing."""
        self.deaf: set[str] = set()
        """Folders that the engine before did not come back from; the next adding leaves them out."""
        self.lock = threading.RLock()
        self.work = threading.Condition(self.lock)
        self.settled = threading.Condition(self.lock)
        self.jobs: dict[str, Job] = {}
        self.lanes: list[LaneMeter] = []
        self.documents_done = 0
        self.tokens_done = 0
        self.ttft: deque[float] = deque(maxlen=10_000)
        """Times to the first token of the newest answers, in seconds."""
        self._closing = False
        self.model = ""
        """What stands for the model in questions (question.model_key); empty while none is known."""
        self.offline = OfflineWatch(cast("Runner", self))
        self.alone: tuple[Job, int] | None = None
        """The document that was in work when the engine died, and now runs with nothing beside it."""
        self._recent: deque[tuple[float, int, int]] = deque(maxlen=4096)

    def _journal_changed(self, record: Record) -> None:
        """Take in that the journal has put a document into another state: it could not be kept, or was damaged."""
        with self.lock:
            job = self.jobs.get(record.job)
            document = job.documents.get(record.id) if job is not None else None
            if job is None or document is None or document.record.state == record.state:
                return
            document.start_over()
            document.summary, document.fresh = "", True
            job.change(record.id, state=record.state, reason=record.reason, lane=-1)
            if record.state == State.WAITING:
                job.line_up(record.id)
            elif job.status in LIVE and self._drained(job):
                self._end(job)
            self.settled.notify_all()
            self.work.notify_all()

    def _journal_stopped(self, problem: str) -> None:
        """Take in that the journal takes nothing any more: jobs pause, and say why, also those that ended unwritten."""
        with self.lock:
            written = self.journal.acknowledged
            for job in self.jobs.values():
                if job.status in LIVE or any(document.ticket > written for document in job.documents.values()):
                    self._halt(job, problem)
            self.settled.notify_all()
            self.work.notify_all()

    def kept_in(self, job: Job) -> Journal | Scratch:
        """Return where the job's rows are kept: the journal, or nowhere for a trial."""
        return self.journal if job.scratch is None else job.scratch

    def _drained(self, job: Job) -> bool:
        return not (
            job.unprepared
            or job.unfinished
            or job.suspects
            or job.ready
            or job.adding
            or job.under_way
            or job.looking
            or job.counts[State.OFFLINE]
        )

    def use_model(self, model: str) -> None:
        """Ask ``model`` (question.model_key) from now on; what jobs ask changes with it."""
        with self.lock:
            self.model = model
            for job in self.jobs.values():
                job.question = ""

    def key_of(self, job: Job, record: Record) -> str:
        """Return the key of the job's answer about a document; empty when it cannot be told."""
        if job.task is None:
            return ""
        job.question = job.question or question(job.task, self.model, job.encoding, job.on_bad_bytes)
        return key(job.question, job.task, record)

    def prepared(self, lane: int, work: Prepare, found: Sequence[Prepared], seconds: float) -> None:
        """Book what a lane found out about documents; those it did not get to wait again."""
        with self.lock:
            job = work.job
            if not work.stop.asked:  # a cancelled run's documents are cancelled, and may already wait for a new one
                share = seconds / max(1, len(found))
                for one in found:
                    self._more(job, one, work.rest) if work.rest else self._prepared_one(job, one, share)
                told = {one.document for one in found}
                for number in work.documents:
                    if number not in told and number in job.documents:
                        job.unfinished.append(number) if work.rest else job.line_up(number)
            self.journal.flight.land([number for number in work.documents if number not in job.in_lanes])
            self._back(lane, work, seconds)

    def _prepared_one(self, job: Job, one: Prepared, seconds: float) -> None:
        document = job.documents.get(one.document)
        if document is None or document.record.state != State.WAITING:
            return
        if one.offline and job.scratch is None:
            job.change(one.document, state=str(State.OFFLINE), reason=one.reason)
            self.journal.update_documents([document.record])
            self.offline.begin()
            return
        if one.reason:
            state = State.SKIPPED if one.skipped else State.FAILED
            self._finish(job, one.document, state, reason=one.reason, seconds=seconds)
            return
        document.start_over()
        document.parts = len(one.items)
        if one.rest is not None:
            self._keep_rest(job, one)
        job.change(
            one.document,
            # What was counted before the run is exact; beside its prompt, a text may have a token more or less.
            tokens=one.tokens if document.record.tokens < 0 else document.record.tokens,
            unknown_share=one.unknown_share,
            coverage=one.coverage,
            seconds=seconds,
        )
        job.tokens_total += sum(len(item.ids) for item in one.items)
        job.ready.add(list(one.items))

    def _keep_rest(self, job: Job, one: Prepared) -> None:
        document = job.documents[one.document]
        document.rest = one.rest
        document.parts += 1  # those that are to come; so the document is not taken for done before
        job.unfinished.append(one.document)

    def _more(self, job: Job, one: Prepared, rest: Rest) -> None:
        """Book more parts of a long document that is under way, or why there are none."""
        document = job.documents.get(one.document)
        if document is None or document.rest is not rest:
            return
        if one.reason:
            self._finish(job, one.document, State.FAILED, reason=one.reason, seconds=0.0)
            return
        document.parts += len(one.items) - 1
        document.rest = None
        if one.rest is not None:
            self._keep_rest(job, one)
        tokens = max(one.tokens, document.record.tokens)
        job.change(one.document, tokens=tokens, unknown_share=one.unknown_share)
        job.tokens_total += sum(len(item.ids) for item in one.items)
        job.ready.add(list(one.items))

    def counted(self, lane: int, work: Count, found: Sequence[Prepared], seconds: float) -> None:
        """Book the tokens of documents that still wait; what cannot be read now will say so when it runs."""
        with self.lock:
            job = work.job
            records: list[Record] = []
            for one in found:
                document = job.documents.get(one.document)
                if work.stop.asked or one.tokens < 0 or document is None or document.record.state != State.WAITING:
                    continue
                if document.record.tokens < 0:
                    job.change(one.document, tokens=one.tokens, unknown_share=one.unknown_share)
                    records.append(document.record)
            self.journal.update_documents(records)
            job.counting -= 1
            if lane < len(self.lanes):
                self.lanes[lane].busy += seconds
            self.settled.notify_all()

    def anchored(
        self, lane: int, work: Anchors, vectors: npt.NDArray[np.float32] | None, problem: str, seconds: float
    ) -> None:
        """Book the vectors of the task's own texts, ``[texts, dimension]``; without them the job cannot go on."""
        with self.lock:
            job = work.job
            if work.stop.asked:
                pass  # they may be those of another task than the job has now
            elif vectors is not None:
                job.anchors = vectors
            else:
                job.anchors_taken = False
                if problem:
                    self._halt(job, problem)
            self._back(lane, work, seconds)

    def encoded(
        self,
        lane: int,
        job: Job,
        items: Sequence[WorkItem],
        vectors: npt.NDArray[np.float32],
        seconds: float,
    ) -> None:
        """Book the vectors ``[items, dimension]`` of a batch, or of a part of it, and finish whole documents."""
        tokens = sum(len(item.ids) for item in items)
        with self.lock:
            task = cast("VectorTask", job.task)
            assert job.anchors is not None
            for item, vector in zip(items, vectors, strict=True):
                document = job.documents.get(item.document)
                if document is None or not _wanted(document):
                    continue
                share = seconds * len(item.ids) / max(1, tokens)
                job.tokens_done += len(item.ids)
                self.tokens_done += len(item.ids)
                document.parts_done += 1
                mean = vector
                if document.parts > 1:
                    # In float64, so that the order in which lanes bring the windows does not show in float32.
                    sums = np.zeros(vector.shape, np.float64) if document.sums is None else document.sums
                    sums += vector
                    document.sums = sums
                    if document.parts_done < document.parts:
                        document.progress = document.share_done()
                        job.change(item.document, seconds=document.record.seconds + share)
                        continue
                    mean = _mean(sums, document.parts, vector)
                combine = partial(task.combine, mean, document.parts, job.anchors)
                self._complete(job, item.document, combine, share, lane)
            self.lanes[lane].tokens += tokens
            self._recent.append((time.monotonic(), self.documents_done, self.tokens_done))

    def _complete(self, job: Job, number: int, combine: Callable[[], Outcome], seconds: float, lane: int) -> None:
        document = job.documents[number]
        try:
            outcome = combine()
            seconds += document.record.seconds
            document.start_over()
            document.summary, document.progress = outcome.summary, 1.0
            reason = warning(document.note, document.record)
            job.change(number, state=str(State.DONE), seconds=seconds, lane=lane, reason=reason)
            blob = None if outcome.vector is None else np.ascontiguousarray(outcome.vector, "<f4").tobytes()
            document.ticket = self.kept_in(job).finish(
                document.record,
                Result(
                    number,
                    outcome.value,
                    blob,
                    0 if blob is None else len(blob) // 4,
                    self.key_of(job, document.record),
                ),
            )
            self._count(job, document.record, lane)
            if document.stale:
                run_again(cast("Runner", self), job, number)
        except HeddleError as error:
            self._finish(job, number, State.FAILED, reason=str(error), seconds=seconds)
        except BaseException as error:
            let_exits_through(error)
            log.warning("document %d: the task failed (%s)", number, type(error).__name__)
            log.debug("it happened here", exc_info=True)
            self._finish(job, number, State.FAILED, reason=f"the task failed: {said(error)}", seconds=seconds)

    def answered(self, lane: int, job: Job, item: WorkItem, answer: Answer) -> None:
        """Book what the model wrote about a document or one part of it, and finish whole documents."""
        with self.lock:
            document = job.documents.get(item.document)
            if document is None or not _wanted(document):
                return
            tokens = answer.prompt_tokens + answer.new_tokens
            job.tokens_done += tokens
            self.tokens_done += tokens
            self.lanes[lane].tokens += tokens
            document.answers[item.part] = answer
            document.parts_done = len(document.answers)
            self.ttft.append(answer.ttft)
            if document.parts_done < document.parts:
                document.progress = document.share_done()
                job.change(item.document, seconds=document.record.seconds + answer.seconds)
            else:
                answers = [document.answers[part] for part in sorted(document.answers)]
                task = cast("TextTask", job.task)
                self._complete(job, item.document, lambda: task.combine_answers(answers), answer.seconds, lane)
            self._recent.append((time.monotonic(), self.documents_done, self.tokens_done))

    def writing(self, texts: Sequence[tuple[Job, int, str, int]]) -> None:
        """Take in how far answers are: job, document, the text so far, its tokens."""
        with self.lock:
            for job, number, text, tokens in texts:
                document = job.documents.get(number)
                if document is None or not _wanted(document):
                    continue
                task = cast("TextTask", job.task)
                document.writing = text
                document.summary = " ".join(text[-200:].split())
                if document.parts <= 1:
                    document.progress = min(1.0, tokens / task.sampling.max_new_tokens)
                job.changed.add(number)

    def stepped(self, lane: int, seconds: float, statistics: Any) -> None:
        """Take in a step of a writing lane: the time it took, and what its generator has counted so far."""
        with self.lock:
            if lane < len(self.lanes):
                meter = self.lanes[lane]
                meter.busy += seconds
                meter.steps = statistics.steps
                meter.statistics = statistics
                read, wrote = statistics.prefill_tokens - meter.prefilled, statistics.decode_tokens - meter.decoded
                if read or wrote:
                    meter.activity = "prefill" if read > wrote else "decode"
                meter.prefilled, meter.decoded = statistics.prefill_tokens, statistics.decode_tokens

    def decoding(self, lane: int) -> None:
        """Take in that a lane writes now, in the middle of a long step."""
        with self.lock:
            if lane < len(self.lanes):
                self.lanes[lane].activity = "decode"

    def failed(self, job: Job, number: int, reason: str, seconds: float) -> None:
        """Book a document that its lane could not process."""
        with self.lock:
            document = job.documents.get(number)
            if document is not None and _wanted(document):
                self._finish(job, number, State.FAILED, reason=reason, seconds=seconds)

    def refused(self, job: Job, stop: Stop, message: str) -> None:
        """Pause the job before any of it runs: the model cannot be asked what it asks."""
        with self.lock:
            if job.status in LIVE and not stop.asked:
                self._halt(job, message)
                self.kept_in(job).update_job(job.id, status=job.status)
                self.settled.notify_all()

    def device_lost(self, job: Job, items: Iterable[WorkItem], message: str) -> None:
        """Put the items back and pause the job: its device does not answer (FAULTS 28)."""
        with self.lock:
            back = [i for i in items if i.document in job.documents]
            job.ready.add(back)
            for item in back:
                job.change(item.document, state=str(State.WAITING), lane=-1)
            self._halt(job, message)

    def given_up(self, lane: int, left: Sequence[tuple[Batch, WorkItem]]) -> None:
        """Let what a lane that ends had in work wait again; a document of which another lane has a part goes on running."""
        with self.lock:
            back = [(work.job, item) for work, item in left if not work.stop.asked and _runs(work.job, item.document)]
            for job, item in back:  # before the batches are closed: a job with nothing left would end
                job.ready.add([item])
            for work in {id(work): work for work, _ in left}.values():
                self.encoded_back(lane, work, 0.0, 0)
            for job, item in back:
                if item.document not in job.in_lanes and _runs(job, item.document):
                    job.change(item.document, state=str(State.WAITING), lane=-1)

    def encoded_back(self, lane: int, work: Batch, seconds: float, steps: int) -> None:
        """Close a batch whose items have all been booked."""
        with self.lock:
            self.lanes[lane].steps += steps
            self._back(lane, work, seconds)

    def _back(self, lane: int, work: Work, seconds: float) -> None:
        job = work.job
        job.under_way -= 1
        job.keep_time()
        if lane < len(self.lanes):
            self.lanes[lane].busy += seconds
            self.lanes[lane].coming = 0
        if isinstance(work, Batch):
            self._let_go(job, work)
        if not job.under_way:
            job.fulfil()
            self.settled.notify_all()
        if job.status in (*LIVE, "paused") and self._drained(job):  # a pause may come when all is in work already
            self._end(job)
        self.work.notify_all()

    def _finish(self, job: Job, number: int, state: State, *, reason: str, seconds: float) -> None:
        document = job.documents[number]
        document.start_over()
        document.summary = ""
        job.change(number, state=str(state), reason=reason, seconds=document.record.seconds + seconds)
        try:
            document.ticket = self.kept_in(job).finish(document.record, None)
        except (ValueError, TypeError, OverflowError) as error:  # a number that no row can hold
            failed = as_failed(document.record, reason or str(error), state)
            job.change(number, **{name: getattr(failed, name) for name in DOCUMENT_COLUMNS})
            document.ticket = self.kept_in(job).finish(document.record, None)
        self._count(job, document.record, -1)
        if document.stale:
            run_again(cast("Runner", self), job, number)

    def _count(self, job: Job, record: Record, lane: int) -> None:
        if job.scratch is not None:
            return
        job.bytes_done += record.size
        self.documents_done += 1
        if lane >= 0:
            self.lanes[lane].documents += 1

    def _end(self, job: Job) -> None:
        job.status = "finished"
        job.keep_time()
        self.kept_in(job).update_job(job.id, status=job.status)
        self.settled.notify_all()

    def _let_go(self, job: Job, work: Batch) -> None:
        for item in work.items:
            job.in_lanes[item.document] -= 1
            if not job.in_lanes[item.document]:
                del job.in_lanes[item.document]
        self.journal.flight.land({item.document for item in work.items if item.document not in job.in_lanes})
        if self._closing:
            return
        left = {i.document for i in work.items if i.document not in job.in_lanes and _runs(job, i.document)}
        if work.stop.asked:
            again = {number for number in left if job.documents[number].again}
            self._cancel_documents(job, sorted(left - again))
            self._wait_again(job, sorted(again))
        elif job.status == "paused":
            self._let_wait(job, left)

    def _halt(self, job: Job, message: str = "") -> None:
        """Pause a job; what lanes hold is finished first."""
        job.status, job.message = "paused", message
        # The rest of documents of which a part is done.
        self._let_wait(job, [n for n in job.documents if n not in job.in_lanes and _runs(job, n)])
        job.keep_time()

    def _let_wait(self, job: Job, numbers: Iterable[int]) -> None:
        for number in numbers:
            job.change(number, state=str(State.WAITING), lane=-1)

    def _wait_again(self, job: Job, numbers: list[int]) -> None:
        for number in numbers:
            document = job.documents[number]
            document.start_over()
            document.summary, document.again = "", False
            job.change(number, state=str(State.WAITING), lane=-1)
            job.line_up(number)
        self.kept_in(job).update_documents([job.documents[n].record for n in numbers])

    def _cancel_documents(self, job: Job, numbers: list[int]) -> None:
        for number in numbers:
            document = job.documents[number]
            document.start_over()
            document.summary = ""
            job.change(number, state=str(State.CANCELLED), lane=-1)
        self.kept_in(job).update_documents([job.documents[n].record for n in numbers])

    def rates(self, window: float = 5.0) -> tuple[float, float]:
        """Return documents/s and tokens/s over the last ``window`` seconds."""
        now = time.monotonic()
        with self.lock:
            while self._recent and self._recent[0][0] < now - window:
                self._recent.popleft()
            if len(self._recent) < 2:
                return 0.0, 0.0
            begin, documents, tokens = self._recent[0]
            span = max(now - begin, 1e-3)
            return (self.documents_done - documents) / span, (self.tokens_done - tokens) / span


UNKNOWN_LIMIT = 0.1
"""Share of unknown tokens above which a row warns (law 12)."""


SURE = 0.7
"""Confidence below which a detected encoding is warned of: right guesses are nearly always above it, even in texts of a
few words, and most wrong ones are not."""


def _wanted(document: Document) -> bool:
    """Tell whether what a lane brings of a document counts: it runs, and its run was not stopped."""
    stopped = document.run is not None and document.run.asked
    return document.record.state == State.RUNNING and not stopped


def _runs(job: Job, number: int) -> bool:
    document = job.documents.get(number)
    return document is not None and document.record.state == State.RUNNING


def warning(note: str, record: Record) -> str:
    """Return what a row that is done should tell all the same, or nothing: its ``note``, coverage, unknown tokens."""
    notes = [note] if note else []
    if record.confidence < SURE:
        notes.append(
            f"the encoding {record.encoding} is a guess (confidence {record.confidence:.2f}): look at the text, and "
            "choose the encoding if it is wrong"
        )
    if record.coverage < 0.9995:
        notes.append(f"only {share_text(record.coverage)} of the text was used")
    if record.unknown_share > UNKNOWN_LIMIT:
        notes.append(
            f"the model does not know {share_text(record.unknown_share)} of the tokens (wrong script or language?)"
        )
    return "; ".join(notes)


def _mean(sums: npt.NDArray[np.float64], parts: int, like: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the mean of a document's windows, scaled to length 1 if the windows were."""
    mean = sums / parts
    if abs(float(np.linalg.norm(like)) - 1.0) < 1e-3:
        mean = mean / max(float(np.linalg.norm(mean)), 1e-12)
    return mean.astype(np.float32)
