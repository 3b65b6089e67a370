"""A coordinator with one job, and workers of a few lines that do one small thing at a time: no threads of theirs, no torch."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from engine import tasks
from engine.api.state import State
from engine.errors import UsageError
from engine.jobs import control, result_cache
from engine.jobs.coordinator import Coordinator
from engine.jobs.document import Document
from engine.jobs.ingest import add_documents, added
from engine.jobs.job import LIVE, Job
from engine.requests.capability import GENERATE
from engine.requests.item import WorkItem
from engine.requests.output import Answer
from engine.requests.request import Generate as Request
from engine.scheduling import work
from engine.scheduling.policies import Slots
from engine.store.journal import Journal
from engine.store.record import Record
from engine.tasks.base import Outcome, Step
from engine.telemetry.activity import Board
from engine.workers import message
from engine.workers.assignment import Assignment, Unread

DOCUMENTS, WORKERS, SLOTS = 12, 2, 3
PROMPTS = ("first", "second")


@dataclass(frozen=True)
class PromptSettings:
    """A prompt."""

    prompt: str = field(default="", metadata={"label": "Prompt", "kind": "text"})


class Twice:
    """Asks two things about each document, one after the other."""

    name: ClassVar[str] = "twice"
    needs: ClassVar[str] = GENERATE
    settings_type: ClassVar[type] = PromptSettings

    def __init__(self, prompt: str) -> None:
        self.settings = PromptSettings(prompt)

    def prepare_job(self) -> tuple[Request, ...]:
        return ()

    def start(self, document: Any, job: Any) -> Step:
        return Step((Request(key="a"),))

    def advance(self, state: dict[str, Any], outputs: Any, job: Any) -> Step | Outcome:
        said = [answer.text for output in outputs.values() for answer in output.answers]
        if "first" not in state:
            return Step((Request(key="a"), Request(key="b")), {"first": said})
        value = {"text": " ".join([*state["first"], *said])}
        return Outcome(value, value["text"])

    def summary(self, value: dict[str, Any]) -> str:
        return value["text"]


class Late(Executor):
    """Calls nothing before it is told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn, /, *args, **kwargs):
        future: Future[Any] = Future()
        self.waiting.append((future, lambda: fn(*args, **kwargs)))
        return future

    def help(self, number: int) -> None:
        future, function = self.waiting.pop(number)
        future.set_result(function())


class Machine:
    """A coordinator, one job, and workers that do one small thing at a time, in an order that a seed decides."""

    def __init__(self, seed: int, *, steps: int = 0, documents: int = DOCUMENTS, journal: str | None = None) -> None:
        self.dice = random.Random(seed)
        self.helpers = Late()
        self.journal = Journal(journal)
        self.coordinator = Coordinator(self.journal, self.helpers, Board())
        self.job = Job("j", self.journal)
        self.journal.add_job(self.job.record())
        self.coordinator.call(lambda: self.coordinator.put(self.job))
        self.steps = steps or 1 + seed % 2
        self.prompt = PROMPTS[0]
        self.there = 0
        self.late: set[int] = set()
        """What came after the job had ended, and waits for the next start."""
        self.reading: list[tuple[int, Assignment]] = []
        self.writing: list[tuple[int, Assignment, WorkItem]] = []
        self.left: dict[int, int] = {}
        self.add(documents)
        self.open()

    def add(self, count: int) -> None:
        numbers = [self.coordinator.number() for _ in range(count)]
        made = [Document(Record(n, "j", n, f"{n}.txt", 10), text=str(n), in_memory=True) for n in numbers]
        if self.job.status not in LIVE:
            self.late.update(numbers)
        self.do(self.expect)
        add_documents(self.coordinator, self.job, made)
        added(self.coordinator, self.job)
        self.there += count

    def expect(self) -> None:
        self.job.adding += 1
        self.coordinator.update(self.job)

    def open(self) -> None:
        self.inboxes, self.meters, self.post, self.generation = self.coordinator.open_workers(
            WORKERS, "cpu", Slots(SLOTS), GENERATE
        )
        self.lost: set[int] = set()

    def settle(self) -> None:
        """Let everything that was posted be applied, and what came of it be handed out."""
        for _ in range(2):
            self.coordinator.call(lambda: None)

    # ---- what users do
    def start(self, *, rest: bool) -> None:
        prompt = self.dice.choice((self.prompt, self.prompt, *PROMPTS))
        made = Twice(prompt) if self.steps == 2 else tasks.make("generate", {"prompt": prompt})
        try:
            self.do(
                lambda: control.submit(self.coordinator, self.job, made, {"prompt": prompt}, 0, again=True, rest=rest)
            )
        except UsageError:
            return
        self.prompt = prompt
        self.helpers.submit(result_cache.look_up, self.coordinator, self.job)

    def do(self, function: Callable[[], Any]) -> Any:
        return self.coordinator.call(function)

    def command(self, *, all_of_them: bool = True) -> None:
        usual = ("pause", "resume", "stop", "start", "rest", "retry", "retry one")
        rare = ("remove", "add", "urgent", "lose", "model", "look again") if all_of_them else ()
        which = self.dice.choice((*usual, *rare))
        numbers = list(self.job.pile.documents)
        coordinator, job = self.coordinator, self.job
        if which == "pause":
            self.do(lambda: control.pause(coordinator, job))
        elif which == "resume" and job.status == "paused" and job.task is not None:
            self.do(lambda: control.start(coordinator, job))
        elif which == "stop":
            self.do(lambda: control.cancel(coordinator, job))
        elif which in ("start", "rest"):
            self.start(rest=which == "rest")
        elif which == "retry":
            self.do(lambda: control.retry(coordinator, job, ()))
        elif which == "retry one":
            self.do(lambda: control.retry(coordinator, job, [self.dice.choice(numbers)]))
        elif which == "remove" and self.there > DOCUMENTS // 2:
            self.there -= self.do(lambda: control.remove(coordinator, job, [self.dice.choice(numbers)]))
        elif which == "add":
            self.add(1)
        elif which == "urgent":
            self.do(lambda: control.set_priority(coordinator, job, self.dice.randrange(3)))
        elif which == "lose":
            self.lose(self.dice.randrange(WORKERS))
        elif which == "model" and job.status not in LIVE:
            self.change_model()
        elif which == "look again":
            self.do(lambda: job.read_as(self.dice.choice(("", "utf-8", "cp1252")), "fail"))

    def lose(self, worker: int) -> None:
        """Let a worker end in the middle of what it does; once there is none, open new ones."""
        self.coordinator.worker_ended(worker, self.generation, "it broke")
        self.lost.add(worker)
        self.reading = [entry for entry in self.reading if entry[0] != worker]
        self.writing = [entry for entry in self.writing if entry[0] != worker]
        self.settle()
        if len(self.lost) == WORKERS:
            assert self.job.status not in LIVE, "a job cannot run without workers"
            self.open()

    def change_model(self) -> None:
        """Do as the model manager does: workers end after what they are doing."""
        self.coordinator.close_workers()
        while self.reading or self.writing:
            self.read() if self.reading else self.write()
        self.do(lambda: control.change_model(self.coordinator))
        self.open()

    # ---- what workers and helpers do
    def step(self) -> None:
        kind = self.dice.choice(("take", "read", "write", "write", "help"))
        if kind == "take":
            self.take(self.dice.randrange(WORKERS))
        elif kind == "read" and self.reading:
            self.read()
        elif kind == "write" and self.writing:
            self.write()
        elif kind == "help" and self.helpers.waiting:
            self.helpers.help(self.dice.randrange(len(self.helpers.waiting)))

    def take(self, worker: int) -> Assignment | None:
        if worker in self.lost:
            return None
        assignment, _ = self.inboxes[worker].get(wait=False)
        if assignment is None:
            return None
        if isinstance(assignment.work, work.Read):
            self.reading.append((worker, assignment))
        else:
            assert isinstance(assignment.work, work.Run)
            items = assignment.work.items
            self.left[id(assignment)] = len(items)
            self.writing += [(worker, assignment, item) for item in items]
            assert sum(at == worker for at, _, _ in self.writing) <= SLOTS
        return assignment

    def read(self) -> None:
        worker, assignment = self.reading.pop(0)
        found = tuple(self.prepared(one) for one in assignment.documents if self.dice.random() < 0.9)
        self.post(message.Read(worker, assignment.work, found, 0.0))

    def write(self) -> None:
        worker, assignment, item = self.writing.pop(self.dice.randrange(len(self.writing)))
        work = assignment.work
        # A worker looks whether its run was stopped, and is sometimes a moment late.
        if not assignment.run.stop() or self.dice.random() < 0.3:
            kind = self.dice.random()
            if kind < 0.1:
                self.post(message.Failed(worker, work, (item,), "the model failed", 0.0))
            elif kind < 0.12:
                self.post(message.DeviceLost(worker, work, (item,), "the device is gone"))
            else:
                said = Answer(assignment.run.task.settings.prompt, "end", 5, 3, 0.0, 0.0)
                self.post(message.Written(worker, work, item, said))
        self.left[id(assignment)] -= 1
        if not self.left[id(assignment)]:
            self.post(message.Returned(worker, work))

    def prepared(self, one: Unread) -> message.Prepared:
        parts = 1 + one.number % 3
        keys = ("text",) if self.steps == 1 else ("a",) if one.requests is None else ("a", "b")
        items = tuple(
            WorkItem(one.number, part, parts, np.arange(5, dtype=np.int32), request=key)
            for key in keys
            for part in range(parts)
        )
        return message.Prepared(one.number, items, dict.fromkeys(keys, parts), one.step, one.state, 5 * parts)

    # ---- what must hold
    def check(self) -> None:
        self.settle()
        self.coordinator.call(self.look)

    def look(self) -> None:
        job = self.job
        states = [document.record.state for document in job.pile.documents.values()]
        assert len(states) == self.there
        assert {state: n for state, n in job.pile.counts.items() if n} == {s: states.count(s) for s in set(states)}
        mine = [entry for entry in self.writing if not entry[1].run.stop()]
        held = {item.document for _, _, item in self.writing}
        assert held & job.pile.documents.keys() <= job.in_workers
        running = [n for n in job.in_workers if job.pile.runs(n)]
        assert job.state().in_work == len(running) <= states.count(State.RUNNING)
        written = [(item.document, item.request, item.part) for _, _, item in mine]
        assert len(written) == len(set(written)), "nothing is written twice at a time"
        assert (job.running_since > 0) == (job.status == "running" or job.under_way > 0)
        if job.under_way:
            assert job.told in ("queued", "running", "pausing", "stopping")
        if not job.under_way and job.status in ("paused", "cancelled"):
            assert State.RUNNING not in states, "nothing runs of a job that nobody works for"
        if job.status in ("finished", "cancelled"):
            assert job.told != job.status or State.RUNNING not in states
        if job.status in LIVE:
            self.late.clear()
        if job.status == "finished":
            assert {n for n, d in job.pile.documents.items() if d.record.state == State.WAITING} <= self.late

    def drain(self) -> None:
        for _ in range(100_000):
            if not (self.reading or self.writing or self.helpers.waiting or self.job.status in LIVE):
                return
            self.step()
            self.check()
        raise AssertionError(f"it does not end: {self.job.told}, {self.job.pile.counts}")

    def finish(self) -> None:
        """Let the job run to its end, as often as a device is lost."""
        while self.job.status == "paused" or self.job.pile.counts[State.WAITING]:
            if self.job.status == "paused" and self.job.task is not None:
                self.do(lambda: control.start(self.coordinator, self.job))
            else:
                self.start(rest=True)
            self.drain()

    def close(self) -> None:
        self.coordinator.close()
        assert self.coordinator.end(5.0)
        self.journal.close()
