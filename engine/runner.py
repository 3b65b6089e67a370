"""The runner: piles, lanes that come and go, and the work that they are handed. No torch, no Qt."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from engine import answers
from engine.booking import Booking
from engine.documents.document import State
from engine.job import LIVE, Document, Job, Stop
from engine.lanes.meter import LaneMeter
from engine.lanes.work import Anchors, Batch, Count, Prepare, Work
from engine.tasks.base import writes

if TYPE_CHECKING:
    from engine.encoding.batches import WorkItem
    from engine.store.journal import Journal
    from engine.store.record import Record
    from engine.tasks.base import Task

log = logging.getLogger(__name__)

PREPARE_DOCUMENTS = 32
"""Documents that a lane reads and tokenizes at once."""

PREPARE_BYTES = 1 << 20
"""Bytes of files above which such a chunk ends earlier."""

LOOK_AHEAD = 64
"""Batches' worth of tokens per lane that are counted ahead, so that longest-first has something to choose from while
the memory of a very large pile stays bounded."""

AHEAD = 4
"""Documents that are made ready to be written about, in slots of all lanes: enough to choose the longest from, and the
first answers do not wait until a large pile is read."""

BACKLOG = 20_000
"""Rows that may wait for the disk before lanes wait too."""

TEXT_CACHE = 64 << 20
"""Characters of text kept from adding until a lane takes them; beyond that a document is read again."""


class Runner(Booking):
    """Jobs in order of priority, handed to lanes piece by piece; what comes back is booked one step down."""

    def __init__(self, journal: Journal) -> None:
        """Book into ``journal``."""
        super().__init__(journal)
        self.text_cached = 0
        self._next_document = journal.last_document_id() + 1
        self._generation = 0
        self._budget = 0
        self._slots = 0
        self._padded = False
        self._verb = "encode"

    # -------------------------------------------------------------------------------------------------- lanes come and go
    def open_lanes(
        self, count: int, device: str, *, budget: int = 0, padded: bool = False, slots: int = 0, verb: str = "encode"
    ) -> int:
        """Let ``count`` new lanes take work, in batches of ``budget`` tokens or into ``slots``; returns their generation.

        ``verb`` is ``encode`` or ``write``: what lanes over the loaded model can do, and so the jobs they take.
        """
        with self.lock:
            self._generation += 1
            self._budget, self._padded, self._slots, self._verb = budget, padded, slots, verb
            self.lanes = [LaneMeter(device, room=slots) for _ in range(count)]
            for job in self.jobs.values():
                if job.status in LIVE and job.task is not None and (reason := self.mismatch(job.task)):
                    job.status, job.message = "paused", reason
                    job.clock(running=False)
            self.settled.notify_all()
            self.work.notify_all()
            return self._generation

    def mismatch(self, task: Task) -> str:
        """Return why the open lanes cannot do ``task``; empty when they can."""
        if writes(task) == (self._verb == "write"):
            return ""
        if writes(task):
            return (
                f"The task {task.name} needs a text generator, and the loaded model makes vectors. Open another model."
            )
        return f"The task {task.name} needs an embedding model, and the loaded model writes text. Open another model."

    def close_lanes(self) -> None:
        """Make every lane end after what it is doing."""
        with self.lock:
            self._generation += 1
            self.work.notify_all()

    def close(self) -> None:
        """End all lanes within a layer; what they hold stays unfinished and waits again when the session is reopened."""
        with self.lock:
            self._closing = True
            for job in self.jobs.values():
                job.stop.asked = True
            self.journal.flight.land_all()  # what is cut off now is to blame for nothing
            self.offline.close()
            self.close_lanes()

    def take(self, lane: int, generation: int, *, room: int = 0, held: int = 0, wait: bool = True) -> Work | None:
        """Return the next work for a lane, waiting for some; None when its generation is over.

        A lane that writes has ``room`` slots free and ``held`` tokens in the others. Without ``wait``, None also means
        that there is nothing for it now.
        """
        with self.lock:
            while generation == self._generation:
                self.lanes[lane].room, self.lanes[lane].held = room, held
                found = self._next(lane) or (self._next_count() if wait else None)
                if found is not None:
                    reads = isinstance(found, (Prepare, Count))
                    self.lanes[lane].activity = (
                        "prepare" if reads else "encode" if self._verb == "encode" else "prefill"
                    )
                    if isinstance(found, Prepare):
                        self.lanes[lane].coming = len(found.documents)
                    if not isinstance(found, Count):
                        found.job.under_way += 1
                        self._note_flight(found)
                    return found
                if not wait:
                    return None
                waiting = any(job.status in LIVE and job.under_way for job in self.jobs.values())
                self.lanes[lane].activity = "waiting" if waiting or self.journal.problem else "idle"
                # While the disk refuses, nobody notifies: look again.
                self.work.wait(0.5 if self.journal.problem or self.journal.backlog > BACKLOG else None)
            return None

    def _next(self, lane: int) -> Work | None:
        if self.journal.problem or self.journal.backlog > BACKLOG:
            return None
        if self.alone is not None and (found := self._next_alone(lane)) is not None:
            return found
        if self.alone is not None:
            return None
        order = sorted(self.jobs.values(), key=lambda job: (-job.priority, job.created))
        for job in order:
            if job.status not in LIVE or job.task is None or job.looking:
                continue
            found = self._next_of(job, lane)
            if found is not None:
                if job.status == "queued":
                    job.status = "running"
                    job.clock(running=True)
                return found
            if self._slots and job.ready:
                return None  # meant for other lanes, and before what is less urgent
            if self._drained(job):
                self._end(job)
        return self._next_suspect(order)

    def _next_suspect(self, order: Sequence[Job]) -> Work | None:
        """Return a document that was in work when the engine died, once nothing else is: it gets the engine to itself.

        If the engine dies again, nobody else is blamed, and all that could be done is done.
        """
        if any(job.under_way for job in order):
            return None
        for job in order:
            while job.status in LIVE and job.task is not None and not job.looking and job.suspects:
                number = job.suspects.popleft()
                document = job.documents.get(number)
                if document is not None and document.record.state == State.WAITING:
                    log.info("document %d was in work when the engine died; it runs alone", number)
                    self.alone = job, number
                    job.status = "running"
                    job.clock(running=True)
                    return Prepare(job, job.stop, (number,))
        return None

    def _next_alone(self, lane: int) -> Work | None:
        """Return the next piece of the document that runs alone, one piece at a time; None also when it has ended."""
        assert self.alone is not None
        job, _ = self.alone
        if job.under_way:
            return None
        if job.status in LIVE and (found := self._batch_of(job, lane)) is not None:
            return found
        self.alone = None
        return self._next(lane)

    def _note_flight(self, work: Prepare | Anchors | Batch) -> None:
        if work.job.scratch is None and not isinstance(work, Anchors):
            numbers = work.documents if isinstance(work, Prepare) else {item.document for item in work.items}
            self.journal.flight.take(numbers)

    def _next_count(self) -> Count | None:
        """Return documents to be counted, once there is nothing to run."""
        for job in self.jobs.values():
            chunk: list[int] = []
            size = 0
            while job.uncounted and len(chunk) < PREPARE_DOCUMENTS and size < PREPARE_BYTES:
                document = job.documents.get(number := job.uncounted.popleft())
                if document is not None and document.record.state == State.WAITING and document.record.tokens < 0:
                    if document.record.deaths:  # it may be what the engine died of
                        continue
                    chunk.append(number)
                    size += document.record.size
            if chunk:
                job.counting += 1
                return Count(job, job.count_stop, tuple(chunk))
            if not job.counting:
                self.settled.notify_all()
        return None

    def _next_of(self, job: Job, lane: int) -> Work | None:
        assert job.task is not None
        if job.unprepared and self._few_ready(job):
            chunk: list[int] = []
            size = 0
            while job.unprepared and len(chunk) < PREPARE_DOCUMENTS and size < PREPARE_BYTES:
                number = job.unprepared.popleft()
                document = job.documents.get(number)
                if document is None or document.record.state != State.WAITING:
                    continue
                chunk.append(number)
                size += document.record.size
            if chunk:
                return Prepare(job, job.stop, tuple(chunk))
        if not job.anchors_taken:
            job.anchors_taken = True
            texts = job.task.anchors()
            if texts:
                return Anchors(job, job.stop, tuple(texts))
            job.anchors = np.zeros((0, 0), np.float32)
        return self._batch_of(job, lane)

    def _few_ready(self, job: Job) -> bool:
        lanes = max(1, len(self.lanes))
        if self._slots:
            return len(job.ready) < AHEAD * self._slots * lanes
        return job.ready.tokens < LOOK_AHEAD * self._budget * lanes

    def _batch_of(self, job: Job, lane: int) -> Batch | None:
        if job.anchors is None or not job.ready:
            return None
        items: list[WorkItem] = []
        while job.ready and not items:  # items of documents that were taken off the pile are dropped here
            taken = self._share_of(job, lane)
            if not taken:
                return None
            items = [item for item in taken if self._wanted(job, item.document)]
        if not items:
            return None
        meter = self.lanes[lane]
        meter.room -= len(items)
        for item in items:
            meter.held += len(item.ids)
            job.in_lanes[item.document] += 1
            job.change(item.document, state=str(State.RUNNING), lane=lane)
        return Batch(job, job.stop, tuple(items))

    def _share_of(self, job: Job, lane: int) -> list[WorkItem]:
        if self._slots:
            # Lanes that make documents ready will have those, which are taken to be as long as others.
            mean = job.ready.tokens / len(job.ready)
            lanes = [(meter.held + mean * meter.coming, meter.room - meter.coming) for meter in self.lanes]
            return job.ready.deal(lane, lanes)
        more = bool(job.unprepared) or job.adding > 0
        return job.ready.take(self._budget, lanes=max(1, len(self.lanes)), padded=self._padded, more_to_come=more)

    def _wanted(self, job: Job, number: int) -> bool:
        document = job.documents.get(number)
        return document is not None and document.record.state in (State.WAITING, State.RUNNING)

    # ------------------------------------------------------------------------------------------------------- piles and texts
    def text_of(self, job: Job, number: int, *, keep: bool = False) -> tuple[Record, str | None, bool] | None:
        """Return a document's record, its text if that is in memory, and whether it lives there only.

        None if the document left the pile. The text of a file is handed over, not kept, unless ``keep`` says so.
        """
        with self.lock:
            document = job.documents.get(number)
            if document is None:
                return None
            text = document.text
            if text is not None and not document.in_memory and not keep:
                document.text = None
                self.text_cached -= len(text)
            return document.record, text, document.in_memory

    def add(self, job: Job, documents: Sequence[Document], *, settled: bool = False) -> None:
        """Put documents at the end of a pile, in order, and wake the lanes if the job runs.

        Looks for earlier answers to what the job asks, and waits for the disk before, unless it was ``settled`` then.
        """
        found = answers.find(self, job, documents, settled=settled) if job.status in LIVE else {}
        with self.lock:
            records: list[Record] = []
            for document in documents:
                if document.text is not None and not document.in_memory:
                    if self.text_cached + len(document.text) > TEXT_CACHE:
                        document.text = None
                    else:
                        self.text_cached += len(document.text)
                job.add(document)
                records.append(document.record)
            self.kept_in(job).add_documents(records)
            answers.apply(self, job, found)
            if found:
                job.drop_answered(len(documents))
            self.work.notify_all()

    def added(self, job: Job) -> None:
        """Close one call of adding; a running job that has nothing left ends now."""
        with self.lock:
            job.adding -= 1
            if job.status in LIVE and self._drained(job):
                self._end(job)
            self.settled.notify_all()
            self.work.notify_all()

    # ------------------------------------------------------------------------------------------------------- what users ask
    def number(self) -> int:
        """Return the next document id."""
        with self.lock:
            self._next_document += 1
            return self._next_document - 1

    def looked_up(self, job: Job) -> None:
        """Let the lanes have what a search for earlier answers has left; a job with nothing left ends."""
        with self.lock:
            job.looking -= 1
            job.drop_answered(len(job.unprepared))
            if job.status in LIVE and self._drained(job):
                self._end(job)
            self.settled.notify_all()
            self.work.notify_all()

    def start(self, job: Job) -> None:
        """Queue a job that has a task; whatever waits in it will run."""
        with self.lock:
            if job.stop.asked:
                job.stop = Stop()
            job.status, job.message = "queued", ""
            self.kept_in(job).update_job(
                job.id, status=job.status, task=job.task_name, settings=job.settings, priority=job.priority
            )
            self.work.notify_all()

    def pause(self, job: Job) -> None:
        """Let the job's running work finish and take no more."""
        with self.lock:
            if job.status in LIVE:
                job.status = "paused"
                job.clock(running=False)
                self.kept_in(job).update_job(job.id, status=job.status)

    def cancel(self, job: Job) -> None:
        """Stop the job: running work stops within a layer, waiting documents are cancelled."""
        with self.lock:
            job.stop.asked = True
            job.unprepared.clear()
            job.suspects.clear()
            job.ready.clear()
            job.anchors_taken = job.anchors is not None
            gone = [
                n
                for n, d in job.documents.items()
                if d.record.state in (State.WAITING, State.OFFLINE)
                or (d.record.state == State.RUNNING and n not in job.in_lanes)
            ]
            self._cancel_documents(job, gone)
            job.status = "cancelled"
            job.clock(running=False)
            self.kept_in(job).update_job(job.id, status=job.status)
            self.work.notify_all()
            self.settled.notify_all()

    def retry(self, job: Job, numbers: Iterable[int]) -> int:
        """Make documents wait again, those named or all that failed or were cancelled; returns how many.

        What was done is run again whatever the journal knows of it, and a document that was quarantined gets a clean
        slate.
        """
        with self.lock:
            wanted = list(numbers) or [
                n for n, d in job.documents.items() if d.record.state in (State.FAILED, State.CANCELLED)
            ]
            again: list[Record] = []
            for number in wanted:
                document = job.documents.get(number)
                if document is None or document.record.state in (State.WAITING, State.RUNNING):
                    continue
                document.start_over()
                document.summary, document.fresh = "", document.record.state == State.DONE
                cleared = {"reason": document.note, "seconds": 0.0, "lane": -1, "tokens": -1, "deaths": 0}
                job.change(number, state=str(State.WAITING), **cleared)
                job.line_up(number)
                again.append(document.record)
            self.kept_in(job).update_documents(again)
            if again and job.task is not None and job.status in ("finished", "cancelled"):
                self.start(job)
            return len(again)

    def remove(self, job: Job, numbers: Iterable[int]) -> int:
        """Take documents off the pile, never running ones; with none named, all that do not run."""
        with self.lock:
            wanted = [
                n
                for n in (list(numbers) or list(job.documents))
                if n in job.documents and job.documents[n].record.state != State.RUNNING
            ]
            for number in wanted:
                document = job.documents[number]
                if document.text is not None and not document.in_memory:
                    self.text_cached -= len(document.text)
                if job.seen is not None:
                    job.seen.forget(document.record.path)
                job.remove(number)
            self.kept_in(job).remove_documents(job.id, wanted)
            return len(wanted)

    def count(self, job: Job) -> Stop:
        """Let idle lanes count the tokens of the waiting documents that have none yet; returns what tells of the end."""
        with self.lock:
            job.count_stop.asked = True  # an older count ends here, and this one goes on where it was
            job.count_stop = Stop()
            job.uncounted.clear()
            job.uncounted.extend(
                n for n, d in job.documents.items() if d.record.state == State.WAITING and d.record.tokens < 0
            )
            self.work.notify_all()
            self.settled.notify_all()
            return job.count_stop

    def forget_counting(self) -> None:
        """Let every count end unfinished: the model whose tokens they were goes."""
        with self.lock:
            for job in self.jobs.values():
                job.uncounted.clear()
            self.settled.notify_all()

    def stop_counting(self, job: Job) -> None:
        """End a count; documents that were reached keep their numbers."""
        with self.lock:
            job.count_stop.asked = True
            job.uncounted.clear()
            self.settled.notify_all()

    def wait_settled(self, job: Job, timeout: float | None = None) -> bool:
        """Wait until nothing of the job is under way; False when ``timeout`` seconds were not enough."""
        with self.lock:
            return self.settled.wait_for(lambda: not job.under_way, timeout)
