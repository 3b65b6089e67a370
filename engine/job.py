"""A job while the engine works on it: its pile, its counts, and what is waiting, ready and under way."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.documents.document import State
from engine.documents.offline import device_of
from engine.encoding.batches import BatchQueue
from engine.metrics.snapshot import DocumentRow, JobRows, JobState
from engine.store.record import JobRecord, Record

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.lanes.work import Rest
    from engine.tasks.base import Answer, Task
    from engine.trial import Scratch

OPEN = frozenset({str(State.WAITING), str(State.RUNNING), str(State.OFFLINE)})
"""States of documents that still need work."""

LIVE = ("queued", "running")
"""Statuses of a job that the lanes may take work from."""


class Stop:
    """Asked by the lanes whether the run that their work belongs to has been cancelled; one for every run of a job."""

    __slots__ = ("asked",)

    def __init__(self) -> None:
        """Start with nobody having asked."""
        self.asked = False

    def __call__(self) -> bool:
        """Tell whether the run was cancelled."""
        return self.asked


@dataclass(slots=True)
class Document:
    """A document of the pile in memory: its record, and what is only of use while the program runs."""

    record: Record
    summary: str = ""
    note: str = ""
    """What the row should tell whatever becomes of it, such as bad bytes that were replaced."""
    progress: float = 0.0
    text: str | None = None
    in_memory: bool = False
    sums: npt.NDArray[np.float64] | None = None
    answers: dict[int, Answer] = field(default_factory=dict)
    """What a text generator wrote so far, by part."""
    writing: str = ""
    """The answer in the making."""
    parts_done: int = 0
    parts: int = 0
    fresh: bool = False
    """Whether somebody asked for it to be run again, so that no earlier answer will do."""
    run: Stop | None = None
    """The run in which a lane took it last; once that was stopped, what its lane brings is not booked."""
    again: bool = False
    """Whether it waits again as soon as the lane of a stopped run lets go of it."""
    renew: bool = False
    """Whether its file is to be taken as it is when it is read next, whatever it was when it was added."""
    stale: bool = False
    """Whether its file changed while it ran, so that it runs again when it has ended."""
    ticket: int = 0
    """The journal's ticket of the document's end; the row is told as done once that is committed."""

    rest: Rest | None = None
    """What makes the parts of a long text that are not made yet."""

    def start_over(self) -> None:
        """Forget what was half done."""
        self.rest = None
        self.sums, self.parts_done, self.progress, self.writing = None, 0, 0.0, ""
        self.answers.clear()

    def share_done(self) -> float:
        """Return how much of its parts has been run, also while not all of them are made."""
        return self.parts_done / max(1, self.parts) * (1.0 if self.rest is None else self.rest.share)

    def row(self) -> DocumentRow:
        """Return the document as a row of the pile table."""
        record = self.record
        return DocumentRow(
            id=record.id,
            position=record.position,
            name=record.path.replace("\\", "/").rsplit("/", 1)[-1],
            path=record.path,
            size=record.size,
            state=record.state,
            reason=record.reason,
            encoding=record.encoding,
            confidence=record.confidence,
            tokens=record.tokens,
            progress=self.progress,
            seconds=record.seconds,
            lane=record.lane,
            coverage=record.used,
            unknown_share=record.unknown_share,
            summary=self.summary,
        )


@dataclass(slots=True)
class Job:
    """A pile with a task. Changed under the runner's lock only."""

    id: str
    name: str = ""
    created: float = 0.0
    status: str = "ready"
    priority: int = 0
    task: Task | None = None
    task_name: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    message: str = ""
    encoding: str = ""
    on_bad_bytes: str = "fail"
    adding: int = 0
    documents: dict[int, Document] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(map(str, State), 0))
    unprepared: deque[int] = field(default_factory=deque)
    unfinished: deque[int] = field(default_factory=deque)
    """Long documents of which more parts are to be made."""
    suspects: deque[int] = field(default_factory=deque)
    """Documents that were in work when the engine died; each runs alone, after all others."""
    looking: int = 0
    """Searches for earlier answers that are under way; lanes take nothing before they have ended."""
    again: bool = False
    """Whether earlier answers must not be used."""
    answered: int = 0
    """Documents that the journal answered, without a lane."""
    question: str = ""
    """What is asked, as a key (question.question); empty until it is needed."""
    command: str = ""
    """The command of ``heddle run`` that the job belongs to (question.command)."""
    devices: dict[str, int] = field(default_factory=dict)
    """The file system that each folder was on when files in it were added."""
    held: list[Document] = field(default_factory=list)
    """What was read while adding and is put on the pile with more."""
    ready: BatchQueue = field(default_factory=BatchQueue)
    under_way: int = 0
    in_lanes: Counter[int] = field(default_factory=Counter)
    stop: Stop = field(default_factory=Stop)
    hopes: list[Future[None]] = field(default_factory=list)
    """Those who wait until nothing of the job is under way."""
    anchors: npt.NDArray[np.float32] | None = None
    anchors_taken: bool = False
    prefix: Any = None
    """The beginning that the job's prompts share (generation.prefix.Prefix), once it is known."""
    uncounted: deque[int] = field(default_factory=deque)
    """Documents whose tokens are to be counted before the run."""
    counting: int = 0
    """Pieces of that work that lanes hold."""
    count_stop: Stop = field(default_factory=Stop)
    scratch: Scratch | None = None
    """Takes the journal's place for a trial, of which nothing is kept."""
    seen: Any = None
    changed: set[int] = field(default_factory=set)
    removed: list[int] = field(default_factory=list)
    reset: bool = True
    announced: bool = False
    tokens_done: int = 0
    tokens_total: int = 0
    bytes_done: int = 0
    bytes_open: int = 0
    worked: float = 0.0
    running_since: float = 0.0

    def record(self, *, model: str = "") -> JobRecord:
        """Return the job as the journal keeps it."""
        return JobRecord(
            self.id,
            self.name,
            self.created,
            self.task_name,
            self.settings,
            self.priority,
            self.status,
            model,
            self.encoding,
            self.on_bad_bytes,
            self.command,
        )

    def add(self, document: Document) -> None:
        """Put a document at the end of the pile; a waiting one is queued for reading."""
        record = document.record
        self.documents[record.id] = document
        self.counts[record.state] += 1
        self.changed.add(record.id)
        if record.state in OPEN:
            self.bytes_open += record.size
        if record.state == State.WAITING:
            self.line_up(record.id)

    def device(self, path: str) -> int | None:
        """Return the file system that the folder of ``path`` was on when it was added, None when that is not known."""
        return self.devices.get(os.path.dirname(path))

    def note_device(self, path: str) -> None:
        """Remember the file system that the folder of ``path`` is on."""
        folder = os.path.dirname(path)
        if folder not in self.devices and (device := device_of(folder or ".")) is not None:
            self.devices[folder] = device

    def line_up(self, number: int) -> None:
        """Let a waiting document be taken: soon, or alone and after all others if the engine died with it."""
        (self.suspects if self.documents[number].record.deaths else self.unprepared).append(number)

    def drop_answered(self, newest: int) -> None:
        """Take those that wait no more out of the ``newest`` documents in line."""
        tail = [self.unprepared.pop() for _ in range(min(newest, len(self.unprepared)))]
        for number in reversed(tail):
            document = self.documents.get(number)
            if document is not None and document.record.state == State.WAITING:
                self.unprepared.append(number)

    def change(self, number: int, **fields: Any) -> Document:
        """Give a document's record new values and keep the counts in step; returns the document."""
        document = self.documents[number]
        before, size = document.record.state, document.record.size
        document.record = replace(document.record, **fields)
        after = document.record.state
        if after != before:
            self.counts[before] -= 1
            self.counts[after] += 1
        self.bytes_open += document.record.size * (after in OPEN) - size * (before in OPEN)
        self.changed.add(number)
        return document

    def remove(self, number: int) -> None:
        """Take a document off the pile."""
        document = self.documents.pop(number)
        self.counts[document.record.state] -= 1
        if document.record.state in OPEN:
            self.bytes_open -= document.record.size
        self.changed.discard(number)
        self.removed.append(number)

    def forget_tokens(self, *, counts: bool = True) -> None:
        """Put every document that is ready or half done back to unprepared.

        Their counts of tokens are forgotten as well (they belong to another model), unless ``counts`` is false (they
        belong to another task, and a text has as many tokens as before).
        """
        self.ready.clear()
        self.anchors, self.anchors_taken, self.prefix = None, False, None
        if self.under_way:  # what lanes hold belongs to what is forgotten
            self.stop.asked = True
            self.stop = Stop()
        self.tokens_total = self.tokens_done
        self.unprepared.clear()
        self.unfinished.clear()
        self.suspects.clear()
        for number, document in self.documents.items():
            if document.record.state in (State.WAITING, State.RUNNING):
                document.start_over()
                document.parts = 0
                document.again = number in self.in_lanes
                if not document.again:
                    self.change(number, state=State.WAITING, lane=-1)
                    self.line_up(number)
                if counts:
                    self.change(number, tokens=-1)

    def keep_time(self) -> None:
        """Let the job's own clock run while lanes work for it, and stand still while none does."""
        now = time.monotonic()
        running = self.status == "running" or self.under_way > 0
        if running and not self.running_since:
            self.running_since = now
        elif not running and self.running_since:
            self.worked += now - self.running_since
            self.running_since = 0.0

    def elapsed(self) -> float:
        """Return the seconds that the job has been running."""
        return self.worked + (time.monotonic() - self.running_since if self.running_since else 0.0)

    def eta(self) -> float:
        """Return the seconds left, or -1 while a number would mean nothing: too early, or the pile still grows.

        Bytes are the measure, since they are known of every document before it is read.
        """
        elapsed = self.elapsed()
        finished = self.counts[State.DONE] + self.counts[State.FAILED]
        if self.status != "running" or self.adding or elapsed < 2.0 or finished < 10 or not self.bytes_done:
            return -1.0
        return elapsed * self.bytes_open / self.bytes_done

    def fulfil(self) -> None:
        """Tell those who wait for the end of what is under way."""
        hopes, self.hopes = self.hopes, []
        for future in hopes:
            future.set_result(None)

    @property
    def told(self) -> str:
        """The status as it is told: a job that was paused or stopped is ``pausing`` or ``stopping`` while lanes work."""
        ending = {"paused": "pausing", "cancelled": "stopping"}
        return ending.get(self.status, self.status) if self.under_way else self.status

    def state(self) -> JobState:
        """Return the job as the window sees it."""
        return JobState(
            id=self.id,
            name=self.name,
            status=self.told,
            adding=self.adding > 0,
            priority=self.priority,
            task=self.task_name,
            counts=dict(self.counts),
            tokens_done=self.tokens_done,
            tokens_total=self.tokens_total,
            elapsed=self.elapsed(),
            eta=self.eta(),
            message=self.message,
            in_work=sum(self.documents[n].record.state == State.RUNNING for n in self.in_lanes),
        )

    def take_changes(self, limit: int, acknowledged: int) -> tuple[JobRows, bool]:
        """Return at most ``limit`` changed rows and whether more wait; they count as told from then on.

        A result whose commit is not acknowledged yet (``acknowledged`` is the journal's ticket) is told next time:
        what a watcher saw done is never run again.
        """
        if self.reset:
            self.changed = set(self.documents)
        documents = self.documents
        numbers = [n for n in self.changed if n not in documents or documents[n].ticket <= acknowledged]
        numbers = sorted(numbers)[:limit]
        self.changed.difference_update(numbers)
        removed, self.removed = tuple(self.removed), []
        rows = tuple(self.documents[n].row() for n in numbers if n in self.documents)
        result = JobRows(self.id, rows, removed, self.reset)
        self.reset = False
        return result, bool(self.changed)
