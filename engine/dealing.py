"""The dealing: lanes that come and go, and what each of them is handed next. No torch, no Qt."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from engine.booking import Booking
from engine.documents.document import State
from engine.job import LIVE, Job
from engine.lanes.meter import LaneMeter
from engine.lanes.reading import let_exits_through, said
from engine.lanes.work import Anchors, Batch, Count, Prepare, Work
from engine.tasks.base import writes

if TYPE_CHECKING:
    from engine.encoding.batches import WorkItem
    from engine.store.journal import Journal
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

ENDED = "ended"
"""The activity of a lane that is gone before its generation is over."""

BACKLOG = 20_000
"""Rows that may wait for the disk before lanes wait too."""


class Dealing(Booking):
    """Jobs in order of priority, handed to lanes piece by piece; what comes back is booked one step down."""

    def __init__(self, journal: Journal) -> None:
        """Book into ``journal``; no lanes are open yet."""
        super().__init__(journal)
        self.generation = 0
        """Counts how often lanes were opened or closed; what an older one's lanes say is not heard."""
        self.gone = ""
        """Why no lane is left, though some were opened; empty while there are any."""
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
            self.generation += 1
            self._budget, self._padded, self._slots, self._verb = budget, padded, slots, verb
            self.lanes = [LaneMeter(device, room=slots) for _ in range(count)]
            self.gone = ""
            for job in self.jobs.values():
                if job.status in LIVE and job.task is not None and (reason := self.mismatch(job.task)):
                    self._halt(job, reason)
            self.settled.notify_all()
            self.work.notify_all()
            return self.generation

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
            self.generation += 1
            self.work.notify_all()

    def lane_ended(self, lane: int, generation: int, why: str) -> None:
        """Count on ``lane`` no more: it ended unexpectedly. Jobs pause when it was the last one; they would wait forever."""
        with self.lock:
            if generation != self.generation:
                return
            meter = self.lanes[lane]
            meter.activity, meter.room, meter.held, meter.coming = ENDED, 0, 0, 0
            if all(meter.activity == ENDED for meter in self.lanes):
                self.gone = (
                    f"No lane is left, the last one ended unexpectedly: {why}. Start the engine again and resume."
                )
                for job in self.jobs.values():
                    if job.status in LIVE:
                        self._halt(job, self.gone)
                self.settled.notify_all()
            self.work.notify_all()

    # ------------------------------------------------------------------------------------------------------ what comes next
    def take(self, lane: int, generation: int, *, room: int = 0, held: int = 0, wait: bool = True) -> Work | None:
        """Return the next work for a lane, waiting for some; None when its generation is over.

        A lane that writes has ``room`` slots free and ``held`` tokens in the others. Without ``wait``, None also means
        that there is nothing for it now.
        """
        with self.lock:
            while generation == self.generation:
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
                    job.keep_time()
                return found
            if self._slots and job.ready:
                return None  # meant for other lanes, and before what is less urgent
            if job.status in LIVE and self._drained(job):
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
                    job.keep_time()
                    return Prepare(job, job.stop, (number,))
        return None

    def _next_alone(self, lane: int) -> Work | None:
        """Return the next piece of the document that runs alone, one piece at a time; None also when it has ended."""
        assert self.alone is not None
        job, _ = self.alone
        if job.under_way:
            return None
        if job.status in LIVE and (found := self._batch_of(job, lane) or self._rest_of(job)) is not None:
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
        if (rest := self._rest_of(job)) is not None:
            return rest
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
            try:
                texts = job.task.anchors()
            except BaseException as error:  # noqa: BLE001 - a task's fault ends its run, never a lane
                let_exits_through(error)
                job.anchors_taken = False
                self._halt(job, f"The task's own texts could not be made: {said(error)}")
                self.settled.notify_all()
                return None
            if texts:
                return Anchors(job, job.stop, tuple(texts))
            job.anchors = np.zeros((0, 0), np.float32)
        return self._batch_of(job, lane)

    def _rest_of(self, job: Job) -> Prepare | None:
        """Return work on the rest of a long document, when few parts are ready."""
        while job.unfinished and self._few_ready(job):
            number = job.unfinished.popleft()
            document = job.documents.get(number)
            if document is not None and document.rest is not None and self._wanted(job, number):
                return Prepare(job, job.stop, (number,), document.rest)
        return None

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
            job.documents[item.document].run = job.stop
            job.change(item.document, state=str(State.RUNNING), lane=lane)
        return Batch(job, job.stop, tuple(items))

    def _share_of(self, job: Job, lane: int) -> list[WorkItem]:
        if self._slots:
            # Lanes that make documents ready will have those, which are taken to be as long as others.
            mean = job.ready.tokens / len(job.ready)
            lanes = [(meter.held + mean * meter.coming, meter.room - meter.coming) for meter in self.lanes]
            return job.ready.deal(lane, lanes)
        more = bool(job.unprepared or job.unfinished) or job.adding > 0
        return job.ready.take(self._budget, lanes=max(1, len(self.lanes)), padded=self._padded, more_to_come=more)

    def _wanted(self, job: Job, number: int) -> bool:
        document = job.documents.get(number)
        return document is not None and document.record.state in (State.WAITING, State.RUNNING)
