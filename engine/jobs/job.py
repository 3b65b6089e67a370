"""A job while the engine works on it: its task, its status, its run and its clock.

Its documents are its pile's (pile.py), and what becomes of them are transitions of their own (document_states.py).
Called on the coordinator's thread alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine.api.reading import FAIL
from engine.api.snapshot import JobState
from engine.api.state import State
from engine.jobs.document_states import DocumentStates
from engine.jobs.keeping import Keeping
from engine.jobs.pile import Pile
from engine.store.record import JobRecord
from engine.workers.assignment import JobRun, Stop

if TYPE_CHECKING:
    from engine.tasks.base import Outputs, Task

LIVE = ("queued", "running")
"""Statuses of a job that workers may take work from."""


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
    on_bad_bytes: str = FAIL
    column: str = ""
    """The column of tables whose cells are added as documents; what is on the pile names its own (documents.readers.tables)."""
    command: str = ""
    """The command of ``heddle run`` that the job belongs to (question.command)."""
    trial: bool = False
    adding: int = 0
    pile: Pile = field(init=False)
    states: DocumentStates = field(init=False)
    """The transitions of the pile's documents."""
    looking: int = 0
    """Searches for earlier answers that are under way; workers take nothing before they have ended."""
    again: bool = False
    """Whether earlier answers must not be used."""
    question: str = ""
    """What is asked, as a key (question.question); empty until it is needed."""
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
    worked: float = 0.0
    running_since: float = 0.0

    def __post_init__(self) -> None:
        """Begin with an empty pile."""
        self.pile = Pile(self.id, self.keeping)
        self.states = DocumentStates(self.pile)

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
            counts=dict(self.pile.counts),
            tokens_done=self.pile.tokens_done,
            tokens_total=self.pile.tokens_total,
            elapsed=self.elapsed(),
            eta=self.eta(),
            message=self.message,
            in_work=sum(map(self.pile.runs, self.in_workers)),
        )

    def elapsed(self) -> float:
        """Return the seconds that the job has been running."""
        return self.worked + (time.monotonic() - self.running_since if self.running_since else 0.0)

    def eta(self) -> float:
        """Return the seconds left, or -1 while a number would mean nothing: too early, or the pile still grows.

        Bytes are the measure, since they are known of every document before it is read.
        """
        elapsed = self.elapsed()
        finished = self.pile.counts[State.DONE] + self.pile.counts[State.FAILED]
        if self.status != "running" or self.adding or elapsed < 2.0 or finished < 10 or not self.pile.bytes_done:
            return -1.0
        return elapsed * self.pile.bytes_open / self.pile.bytes_done

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

    def prepare_anew(self, *, counts: bool = True) -> list[int]:
        """Let what runs end, and prepare all that waits anew, as DocumentStates.prepare_anew; returns those documents."""
        self.end_run()
        self.outputs = None
        return self.states.prepare_anew(counts=counts)
