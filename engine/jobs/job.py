"""A job while the engine works on it: its pile, its counts, its clock. It changes through its transitions only.

Every transition says what a document was before, what it is after, and what the journal gets. Called on the
coordinator's thread alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.api.snapshot import JobState
from engine.api.state import State
from engine.documents.offline import device_of
from engine.jobs.changes import Changes
from engine.jobs.document import Document, StepProgress
from engine.jobs.keeping import Keeping
from engine.store.cells import share_text
from engine.store.record import JobRecord, Record, Result, as_failed
from engine.workers.assignment import JobRun, Stop
from engine.workers.reading import CHANGED

if TYPE_CHECKING:
    from engine.inference.prepare.ready import Ready
    from engine.requests.item import WorkItem
    from engine.tasks.base import Outcome, Outputs, Task
    from engine.workers.message import Prepared

OPEN = frozenset({str(State.WAITING), str(State.RUNNING), str(State.OFFLINE)})
"""States of documents that still need work."""

LIVE = ("queued", "running")
"""Statuses of a job that workers may take work from."""

UNKNOWN_LIMIT = 0.1
"""Share of unknown tokens above which a row warns (law 8)."""

SURE = 0.7
"""Confidence below which a detected encoding is warned of: right guesses are nearly always above it, even in texts of a
few words, and most wrong ones are not."""


@dataclass(slots=True)
class Job:
    """A pile with a task."""

    id: str
    keeping: Keeping
    """Where its rows are kept: the journal, or nowhere for a trial."""
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
    command: str = ""
    """The command of ``heddle run`` that the job belongs to (question.command)."""
    trial: bool = False
    adding: int = 0
    held: list[Document] = field(default_factory=list)
    """What was read while adding and is put on the pile with more."""
    documents: dict[int, Document] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(map(str, State), 0))
    looking: int = 0
    """Searches for earlier answers that are under way; workers take nothing before they have ended."""
    again: bool = False
    """Whether earlier answers must not be used."""
    answered: int = 0
    """Documents that the journal answered, without a worker."""
    question: str = ""
    """What is asked, as a key (question.question); empty until it is needed."""
    devices: dict[str, int] = field(default_factory=dict)
    """The file system that each folder was on when files in it were added."""
    current: JobRun | None = None
    """The run that workers have work of; a stop, another task or another model begins a new one."""
    in_workers: set[int] = field(default_factory=set)
    """Documents of which workers hold something, also of a run that was stopped."""
    under_way: int = 0
    """Pieces of work that workers hold."""
    outputs: Outputs | None = None
    """What the task needs once, as soon as it is there."""
    advancing: int = 0
    """Documents whose task is being advanced beside the workers."""
    count_stop: Stop = field(default_factory=Stop)
    shown: int = 0
    """How often somebody asked to see it; readers begin anew then."""
    finishing: bool = False
    """Whether the task looks at all results now."""
    seen: Any = None
    changes: Changes = field(default_factory=Changes)
    tokens_done: int = 0
    tokens_total: int = 0
    bytes_done: int = 0
    bytes_open: int = 0
    worked: float = 0.0
    running_since: float = 0.0

    # ------------------------------------------------------------------------------------------------------- as others see it
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

    def read_as(self, encoding: str, on_bad_bytes: str) -> None:
        """Let files be read in another way from now on; the journal gets it."""
        self.encoding, self.on_bad_bytes, self.question = encoding, on_bad_bytes, ""
        self.current = (
            None if self.current is None else replace(self.current, encoding=encoding, on_bad_bytes=on_bad_bytes)
        )
        self.keeping.update_job(self.id, encoding=encoding, on_bad_bytes=on_bad_bytes)

    @property
    def run(self) -> JobRun:
        """The job's present run, as workers see it."""
        if self.current is None or self.current.stop.asked:
            self.current = JobRun(self.id, self.task, self.encoding, self.on_bad_bytes)
        return self.current

    def goes_on(self, run: JobRun | None) -> bool:
        """Tell whether ``run`` is the job's present one, however its files are read by now, and was not stopped."""
        return run is not None and self.current is not None and run.stop is self.current.stop and not run.stop.asked

    def end_run(self) -> None:
        """Let what workers hold end within a layer; what still comes of it is not wanted."""
        if self.current is not None:
            self.current.stop.asked = True
        self.current = None

    @property
    def told(self) -> str:
        """The status as it is told: a job that was paused or stopped is ``pausing`` or ``stopping`` while workers work."""
        ending = {"paused": "pausing", "cancelled": "stopping"}
        return ending.get(self.status, self.status) if self.under_way else self.status

    @property
    def live(self) -> bool:
        """Whether workers may take work of it."""
        return self.status in LIVE and self.task is not None

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
            in_work=sum(map(self.runs, self.in_workers)),
        )

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

    def device(self, path: str) -> int | None:
        """Return the file system that the folder of ``path`` was on when it was added, None when that is not known."""
        return self.devices.get(os.path.dirname(path))

    def note_device(self, path: str) -> None:
        """Remember the file system that the folder of ``path`` is on."""
        folder = os.path.dirname(path)
        if folder not in self.devices and (device := device_of(folder or ".")) is not None:
            self.devices[folder] = device

    def waits(self, number: int) -> bool:
        """Tell whether a document is on the pile and waits for a worker."""
        document = self.documents.get(number)
        return document is not None and document.record.state == State.WAITING

    def runs(self, number: int) -> bool:
        """Tell whether a document is on the pile and a worker has some of it."""
        document = self.documents.get(number)
        return document is not None and document.record.state == State.RUNNING

    # ------------------------------------------------------------------------------------------- transitions of the job itself
    def set_status(self, status: str, message: str = "", **also: Any) -> None:
        """Let the job be ``status``, with a sentence that says why; the journal gets both and what else is ``also`` new."""
        self.status, self.message = status, message
        self.keep_time()
        self.keeping.update_job(self.id, status=status, **also)

    def set_task(self, task: Task, name: str, settings: dict[str, Any]) -> None:
        """Give the job another task; what was prepared for the one before is forgotten, results stay until run again."""
        self.end_run()
        self.task, self.task_name, self.settings, self.question = task, name, settings, ""
        self.outputs = None

    def keep_time(self) -> None:
        """Let the job's own clock run while workers work for it, and stand still while none does."""
        now = time.monotonic()
        running = self.status == "running" or self.under_way > 0
        if running and not self.running_since:
            self.running_since = now
        elif not running and self.running_since:
            self.worked += now - self.running_since
            self.running_since = 0.0

    def took(self, works: int, documents: Iterable[int] = (), free: Iterable[int] = ()) -> None:
        """Note that workers took, or with a negative number gave back, pieces of work.

        They have something of ``documents`` from now on, and nothing more of those that are ``free``.
        """
        self.under_way += works
        self.in_workers.update(documents)
        self.in_workers.difference_update(free)
        self.keep_time()

    # ----------------------------------------------------------------------------------------------- transitions of documents
    def add(self, documents: Iterable[Document], *, keep: bool = True) -> None:
        """Nothing -> whatever their records say, at the end of the pile; the journal gets them unless it has them."""
        records: list[Record] = []
        for document in documents:
            record = document.record
            self.documents[record.id] = document
            self.counts[record.state] += 1
            self.changes.touch(record.id)
            if record.state in OPEN:
                self.bytes_open += record.size
            records.append(record)
        if keep:
            self.keeping.add_documents(records)

    def put_back(self, back: Sequence[tuple[Document, Result | None]]) -> None:
        """Off the pile -> as they were, each in its place; the journal gets rows first and results after them.

        A row whose result was lost between the two only runs again.
        """
        self.add([document for document, _ in back], keep=False)
        self.documents = dict(sorted(self.documents.items(), key=lambda entry: entry[1].record.position))
        self.seen = None  # the next walk learns anew what the pile has
        waiting = {"state": str(State.WAITING)}
        done = State.DONE
        self.keeping.add_documents(
            [replace(d.record, **waiting) if d.record.state == done else d.record for d, _ in back]
        )
        for document, result in back:
            if document.record.state == State.DONE and result is not None:
                number = document.record.id
                document.ticket = self.keeping.finish(document.record, replace(result, document=number))

    def put_in(self, number: int, document: Document) -> None:
        """Whatever it was -> what a fresh look at its changed file says; the journal gets the new row."""
        held, record = self.documents[number], document.record
        held.start_over()
        held.kept.clear()
        held.summary, held.fresh, held.renew, held.text = "", False, False, None
        held.note = "; ".join(filter(None, (CHANGED, document.note)))
        fresh = {name: getattr(record, name) for name in _FRESH}
        reason = held.note if record.state == State.WAITING else record.reason
        self.change(number, **{**fresh, "reason": reason})
        self.keeping.update_documents([held.record])

    def renewed(self, number: int, found: Mapping[str, Any]) -> None:
        """Waiting -> waiting, as its file was when it was read just now; the journal gets nothing before its end."""
        document = self.documents[number]
        document.renew, document.note = False, str(found["note"])
        self.change(number, reason=document.note, **{name: value for name, value in found.items() if name != "note"})

    def run_again(self, number: int) -> None:
        """Over -> waiting, because its file changed while it ran; the journal gets the row."""
        document = self.documents[number]
        document.stale, document.renew, document.fresh = False, True, True
        document.start_over()
        document.kept.clear()
        document.summary = ""
        self.change(number, state=str(State.WAITING), reason="", seconds=0.0, worker=-1, tokens=-1)
        self.keeping.update_documents([document.record])

    def set_aside(self, number: int, reason: str) -> None:
        """Any state that may run -> quarantined, for ``reason``; the journal gets the row."""
        document = self.documents[number]
        document.start_over()
        record = self.change(number, state=str(State.QUARANTINED), reason=reason, worker=-1).record
        self.keeping.update_documents([record])

    def taken_by_journal(self, record: Record) -> None:
        """Any state -> what the journal says: it could not keep the row, or found it damaged; it knows already."""
        document = self.documents[record.id]
        document.start_over()
        document.summary, document.fresh = "", True
        self.change(record.id, state=record.state, reason=record.reason, worker=-1)

    def begin(self, number: int, worker: int) -> None:
        """Waiting or running -> running on ``worker``; the journal gets nothing, a crash lets it wait again."""
        self.change(number, state=str(State.RUNNING), worker=worker)

    def prepared(self, number: int, found: Prepared, seconds: float) -> None:
        """Waiting -> waiting, with the step that its items belong to; the journal gets nothing."""
        document = self.documents[number]
        document.step = StepProgress.of(found, document.kept_of(found.step))
        document.next_requests = None
        self.tokens_total += sum(len(item.ids) for item in found.items)
        if found.step:
            return
        record = document.record
        self.change(
            number,
            # What was counted before the run is exact; beside its prompt, a text may have a token more or less.
            tokens=found.tokens if record.tokens < 0 else record.tokens,
            unknown_share=found.unknown_share,
            coverage=found.coverage,
            seconds=seconds,
        )

    def more(self, number: int, ready: Mapping[str, Ready]) -> list[WorkItem]:
        """Waiting or running -> as it is, with more items of its long text, which are returned; the journal gets nothing."""
        document = self.documents[number]
        step = document.step
        assert step is not None
        items: list[WorkItem] = []
        for key, one in ready.items():
            if one.rest is None:
                step.rests.pop(key, None)
            items += one.items
            record = document.record
            self.change(number, tokens=max(one.tokens, record.tokens), unknown_share=one.unknown_share)
        step.expect(items)
        self.tokens_total += sum(len(item.ids) for item in items)
        return items

    def counted(self, found: Iterable[Prepared]) -> None:
        """Waiting -> waiting, with its tokens; the journal gets the row."""
        records: list[Record] = []
        for one in found:
            if one.tokens >= 0 and self.waits(one.document) and self.documents[one.document].record.tokens < 0:
                document = self.change(one.document, tokens=one.tokens, unknown_share=one.unknown_share)
                records.append(document.record)
        self.keeping.update_documents(records)

    def progress(self, number: int, share: float, seconds: float = 0.0) -> None:
        """Running -> running, further on; the journal gets nothing."""
        document = self.documents[number]
        document.progress = share
        self.change(number, seconds=document.record.seconds + seconds)

    def write_on(self, number: int, text: str, tokens: int) -> None:
        """Running -> running, with the answer so far; the journal gets nothing."""
        document = self.documents[number]
        document.writing = text
        document.summary = " ".join(text[-200:].split())
        settings = getattr(self.task, "settings", None)
        longest = getattr(settings, "max_new_tokens", 0)
        if longest and document.step is not None and document.step.parts <= 1:
            document.progress = min(1.0, tokens / longest)
        self.changes.touch(number)

    def next_step(self, number: int, step: int, state: dict[str, Any], requests: tuple[Any, ...]) -> None:
        """Running -> waiting, for the requests of its next step; the journal gets nothing."""
        document = self.documents[number]
        document.attempt += 1
        document.step = StepProgress(step, state)
        document.next_requests = requests
        self.change(number, state=str(State.WAITING), worker=-1)

    def keep_output(self, number: int, key: str, asked: str) -> None:
        """Running -> running; the journal gets an output that would be dear to compute again, with what was ``asked``."""
        document = self.documents[number]
        if document.step is not None and asked:
            self.keeping.keep_output(number, document.step.step, document.step.outputs[key], asked)

    def done(self, number: int, outcome: Outcome, key: str, seconds: float, worker: int) -> None:
        """Running or waiting -> done; the journal gets row and result in one transaction.

        Raises DocumentError for a result that is not a number; then nothing has changed.
        """
        document = self.documents[number]
        blob = None if outcome.vector is None else np.ascontiguousarray(outcome.vector, "<f4").tobytes()
        result = Result(number, outcome.value, blob, 0 if blob is None else len(blob) // 4, key)
        reason = warning(document.note, document.record)
        seconds += document.record.seconds
        record = replace(document.record, state=str(State.DONE), seconds=seconds, worker=worker, reason=reason)
        ticket = self.keeping.finish(record, result)
        document.start_over()
        document.kept.clear()
        document.ticket, document.summary, document.progress = ticket, outcome.summary, 1.0
        self.change(number, state=str(State.DONE), seconds=seconds, worker=worker, reason=reason)

    def revise(self, number: int, outcome: Outcome, result: Result) -> None:
        """Done -> done, with what the task made of it at the end of the job; the journal gets the new result."""
        document = self.documents[number]
        if document.record.state != State.DONE:
            return
        fresh = Result(number, outcome.value, result.vector, result.dimension, result.key)
        document.ticket = self.keeping.finish(document.record, fresh)
        document.summary = outcome.summary
        self.changes.touch(number)

    def answer(self, number: int, source: Record, result: Result, summary: str) -> None:
        """Waiting -> done by an answer that the journal has already; the journal gets row and copy."""
        document = self.documents[number]
        document.start_over()
        document.summary, document.progress = summary, 1.0
        known = {name: getattr(source, name) for name in ("tokens", "unknown_share", "coverage")}
        reason = warning(document.note, source)
        self.change(number, state=str(State.DONE), seconds=0.0, worker=-1, reason=reason, **known)
        copy = Result(number, result.value, result.vector, result.dimension, result.key)
        document.ticket = self.keeping.finish(document.record, copy)
        self.answered += 1

    def end(self, number: int, state: State, reason: str, seconds: float = 0.0) -> None:
        """Waiting or running -> failed or skipped, for ``reason``; the journal gets the row."""
        document = self.documents[number]
        document.start_over()
        document.summary = ""
        self.change(number, state=str(state), reason=reason, seconds=document.record.seconds + seconds)
        try:
            document.ticket = self.keeping.finish(document.record, None)
        except (ValueError, TypeError, OverflowError) as error:  # a number that no row can hold
            failed = as_failed(document.record, reason or str(error), state)
            self.change(number, **{item.name: getattr(failed, item.name) for item in fields(failed)})
            document.ticket = self.keeping.finish(document.record, None)

    def go_offline(self, number: int, reason: str) -> None:
        """Waiting -> offline, for ``reason``; the journal gets the row."""
        document = self.change(number, state=str(State.OFFLINE), reason=reason)
        self.keeping.update_documents([document.record])

    def come_back(self, numbers: Iterable[int]) -> None:
        """Offline -> waiting; the journal gets the rows."""
        self.keeping.update_documents(
            [self.change(n, state=str(State.WAITING), reason=self.documents[n].note).record for n in numbers]
        )

    def wait_again(self, numbers: Iterable[int]) -> None:
        """Running -> waiting, for a worker was lost; the journal gets nothing, it never knew that they ran."""
        for number in numbers:
            self.change(number, state=str(State.WAITING), worker=-1)

    def cancel_documents(self, numbers: Iterable[int]) -> None:
        """Waiting, offline or running -> cancelled; the journal gets the rows."""
        records: list[Record] = []
        for number in numbers:
            document = self.documents[number]
            document.start_over()
            document.summary = ""
            records.append(self.change(number, state=str(State.CANCELLED), worker=-1).record)
        self.keeping.update_documents(records)

    def retry(self, numbers: Iterable[int]) -> list[int]:
        """Any state that is over -> waiting, with a clean slate; the journal gets the rows. Returns those that changed."""
        again: list[Record] = []
        for number in numbers:
            document = self.documents.get(number)
            if document is None or document.record.state in (State.WAITING, State.RUNNING):
                continue
            document.start_over()
            document.kept.clear()
            document.summary, document.fresh = "", document.record.state == State.DONE
            document.renew, document.stale = not document.in_memory, False
            cleared = {"reason": document.note, "seconds": 0.0, "worker": -1, "tokens": -1, "deaths": 0}
            again.append(self.change(number, state=str(State.WAITING), **cleared).record)
        self.keeping.update_documents(again)
        return [record.id for record in again]

    def prepare_anew(self, *, counts: bool = True) -> list[int]:
        """Waiting or running -> waiting, with nothing prepared; the journal gets nothing. Returns those documents.

        Their counts of tokens are forgotten as well (they belong to another model), unless ``counts`` is false (they
        belong to another task, and a text has as many tokens as before).
        """
        self.end_run()
        self.outputs = None
        self.tokens_total = self.tokens_done
        waiting: list[int] = []
        for number, document in self.documents.items():
            if document.record.state in (State.WAITING, State.RUNNING):
                document.start_over()
                self.change(number, state=str(State.WAITING), worker=-1, **({"tokens": -1} if counts else {}))
                waiting.append(number)
        return waiting

    def remove(self, numbers: Iterable[int]) -> None:
        """Any state -> off the pile; the journal forgets the rows and their results."""
        gone = list(numbers)
        for number in gone:
            document = self.documents.pop(number)
            self.counts[document.record.state] -= 1
            if document.record.state in OPEN:
                self.bytes_open -= document.record.size
            if self.seen is not None:
                self.seen.forget(document.record.path)
            self.changes.remove(number)
        self.keeping.remove_documents(self.id, gone)

    def change(self, number: int, **values: Any) -> Document:
        """Give a document's record new values and keep the counts in step; returns the document."""
        document = self.documents[number]
        before, size = document.record.state, document.record.size
        document.record = replace(document.record, **values)
        after = document.record.state
        if after != before:
            self.counts[before] -= 1
            self.counts[after] += 1
        self.bytes_open += document.record.size * (after in OPEN) - size * (before in OPEN)
        self.changes.touch(number)
        return document

    def numbers(self, wanted: Callable[[Document], bool]) -> list[int]:
        """Return the documents that are ``wanted``, in pile order."""
        return [number for number, document in self.documents.items() if wanted(document)]


_FRESH = ("size", "mtime_ns", "sha256", "encoding", "confidence", "state", "reason", "tokens", "unknown_share",
          "coverage", "seconds", "worker", "deaths")  # fmt: skip
"""What a fresh look at a file says of its document anew."""


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
