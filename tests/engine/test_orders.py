"""Pause, Resume, Stop, Start and Retry in any order, while answers are being written: the job answers, nothing is lost.

Once with the runner and lanes of a few lines, over thousands of steps; once with the real engine process.
"""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from host_process import HostProcess
from model_folders import make_folder

from engine import protocol, tasks
from engine.documents.document import State
from engine.encoding.batches import WorkItem
from engine.job import Document, Job
from engine.lanes.work import Batch, Prepare, Prepared
from engine.runner import Runner
from engine.store.journal import Journal
from engine.store.record import Record
from engine.tasks.base import Answer

DOCUMENTS, LANES, SLOTS = 12, 2, 3
PROMPTS = ("first", "second")
SETTLED = {State.DONE, State.FAILED, State.CANCELLED}


class Machine:
    """A runner, one job, and lanes that do one small thing at a time, in an order that a seed decides."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.runner = Runner(Journal(None))
        self.job = Job("j")
        self.runner.jobs["j"] = self.job
        self.runner.journal.add_job(self.job.record())
        documents = [
            Document(Record(n, "j", n, f"{n}.txt", 10), text=str(n), in_memory=True) for n in range(1, DOCUMENTS + 1)
        ]
        self.runner.add(self.job, documents)
        self.generation = self.runner.open_lanes(LANES, "cpu", slots=SLOTS, verb="write")
        self.reading: list[tuple[int, Prepare]] = []
        self.writing: list[tuple[int, Batch, WorkItem, str]] = []
        self.left: dict[int, int] = {}
        self.prompt = PROMPTS[0]

    # ---- what users do
    def start(self, *, rest: bool) -> None:
        if self.job.status in ("queued", "running"):
            return
        prompt = self.dice.choice((self.prompt, self.prompt, *PROMPTS))
        made = tasks.make("generate", {"prompt": prompt})
        with self.runner.lock:  # as Engine.submit does
            if self.job.task is None or prompt != self.prompt:
                self.job.task, self.job.task_name, self.job.settings = made, "generate", {"prompt": prompt}
                self.job.forget_tokens(counts=False)
            self.prompt = prompt
            self.runner.start(self.job, rest=rest)

    def command(self) -> None:
        which = self.dice.choice(("pause", "resume", "stop", "start", "rest", "retry", "retry one"))
        if which == "pause":
            self.runner.pause(self.job)
        elif which == "resume" and self.job.status == "paused" and self.job.task is not None:
            self.runner.start(self.job)
        elif which == "stop":
            self.runner.cancel(self.job)
        elif which in ("start", "rest"):
            self.start(rest=which == "rest")
        elif which == "retry":
            self.runner.retry(self.job, ())
        elif which == "retry one":
            self.runner.retry(self.job, [self.dice.randint(1, DOCUMENTS)])

    # ---- what lanes do
    def step(self) -> None:
        kind = self.dice.choice(("take", "read", "write", "write"))
        if kind == "take":
            lane = self.dice.randrange(LANES)
            room = SLOTS - sum(at == lane for at, *_ in self.writing)
            if room <= 0 or any(at == lane for at, _ in self.reading):
                return
            work = self.runner.take(lane, self.generation, room=room, held=0, wait=False)
            if isinstance(work, Prepare):
                self.reading.append((lane, work))
            elif isinstance(work, Batch):
                self.left[id(work)] = len(work.items)
                said = work.job.settings["prompt"]
                self.writing += [(lane, work, item, said) for item in work.items]
        elif kind == "read" and self.reading:
            lane, work = self.reading.pop(0)
            found = [self.prepared(n) for n in work.documents if self.dice.random() < 0.9]
            self.runner.prepared(lane, work, found, 0.0)
        elif kind == "write" and self.writing:
            lane, work, item, said = self.writing.pop(self.dice.randrange(len(self.writing)))
            # A lane looks whether its run was stopped, and is sometimes a moment late.
            if not work.stop() or self.dice.random() < 0.3:
                if self.dice.random() < 0.1:
                    self.runner.failed(work.job, item.document, "the model failed", 0.0)
                else:
                    self.runner.answered(lane, work.job, item, Answer(said, "end", 5, 3, 0.0, 0.0))
            self.left[id(work)] -= 1
            if not self.left[id(work)]:
                self.runner.encoded_back(lane, work, 0.0, 0)

    def prepared(self, number: int) -> Prepared:
        parts = 1 + number % 3
        items = tuple(WorkItem(number, part, parts, np.arange(5, dtype=np.int32)) for part in range(parts))
        return Prepared(number, items, 5 * parts)

    # ---- what must hold
    def check(self) -> None:
        states = [document.record.state for document in self.job.documents.values()]
        assert len(states) == DOCUMENTS
        assert {state: n for state, n in self.job.counts.items() if n} == {s: states.count(s) for s in set(states)}
        held = {item.document for _, _, item, _ in self.writing}
        assert held <= set(self.job.in_lanes)
        running = [n for n in self.job.in_lanes if self.job.documents[n].record.state == State.RUNNING]
        assert self.job.state().in_work == len(running) <= states.count(State.RUNNING)
        assert (self.job.running_since > 0) == (self.job.status == "running" or self.job.under_way > 0)
        if self.job.under_way:
            assert self.job.told in ("queued", "running", "pausing", "stopping")
        if not self.job.under_way and self.job.status in ("paused", "cancelled"):
            assert State.RUNNING not in states, "nothing runs of a job that nobody works for"

    def drain(self) -> None:
        for _ in range(100_000):
            if not (self.reading or self.writing or self.job.status in ("queued", "running")):
                return
            self.step()
            self.check()
        raise AssertionError(f"it does not end: {self.job.told}, {self.job.counts}")

    def close(self) -> None:
        self.runner.close()
        self.runner.journal.close()


@pytest.mark.parametrize("seed", range(60))
def test_after_any_order_of_commands_the_job_ends_with_every_document_accounted_for(seed):
    machine = Machine(seed)
    machine.start(rest=False)
    for _ in range(120):
        machine.command() if machine.dice.random() < 0.25 else machine.step()
        machine.check()
    settled = machine.runner.when_settled(machine.job)
    if machine.job.status == "paused":
        machine.runner.start(machine.job)
    machine.drain()
    assert settled.done()
    if machine.job.status != "finished":
        machine.start(rest=True)
        machine.drain()
    machine.runner.retry(machine.job, ())
    machine.drain()
    states = {document.record.state for document in machine.job.documents.values()}
    assert machine.job.status == "finished"
    assert states <= {State.DONE, State.FAILED}
    kept = {record.id: (record.state, result) for record, result in machine.runner.journal.results("j")}
    assert {n: d.record.state for n, d in machine.job.documents.items()} == {n: s for n, (s, _) in kept.items()}
    assert all((result is not None) == (state == State.DONE) for state, result in kept.values())
    machine.close()


@pytest.mark.parametrize("seed", range(20))
def test_what_a_lane_brings_of_a_stopped_run_is_never_the_answer_to_another_question(seed):
    machine = Machine(seed)
    machine.start(rest=False)
    for _ in range(40):
        machine.step()
    machine.runner.cancel(machine.job)
    machine.prompt = ""
    made = tasks.make("generate", {"prompt": "second"})
    before = {n for n, d in machine.job.documents.items() if d.record.state in (State.DONE, State.FAILED)}
    with machine.runner.lock:
        machine.job.task, machine.job.settings = made, {"prompt": "second"}
        machine.job.forget_tokens(counts=False)
        machine.runner.start(machine.job, rest=True)
    machine.drain()
    said = {r.id: str(result.value) for r, result in machine.runner.journal.results("j") if result is not None}
    assert [text for n, text in said.items() if n not in before and "first" in text] == []
    assert any("second" in text for text in said.values())
    machine.close()


# ------------------------------------------------------------------------------------------------- the real engine process
@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """An engine process with a tiny text generator open, and eight documents on a pile."""
    folder = make_folder(tmp_path_factory.mktemp("m"), "qwen3", modules=False, head="ForCausalLM", positions=512)
    pile = tmp_path_factory.mktemp("pile")
    for n in range(8):
        (pile / f"{n}.txt").write_text(f"The {n} dogs and the two cats slept beside the old horse.", "utf-8")
    process = HostProcess()
    assert process.ask(protocol.OpenModel, folder=folder).ok
    process.send(protocol.CreateJob, job="a", name="pile")
    assert process.ask(protocol.AddPaths, job="a", paths=(str(pile),)).ok
    yield process
    process.end()


SETTINGS = {"prompt": "Say {text}", "max_new_tokens": 400, "temperature": 0.0}
START = (protocol.Submit, {"task": "generate", "settings": SETTINGS, "rest": True, "again": True})
PAUSE, RESUME, STOP, RETRY = ((kind, {}) for kind in (protocol.Pause, protocol.Resume, protocol.Cancel, protocol.Retry))


def job_of(process: HostProcess):
    return next((job for job in process.snapshot.jobs if job.id == "a"), None) if process.snapshot else None


def give(process: HostProcess, command) -> protocol.Reply:
    kind, fields = command
    return process.reply(process.send(kind, job="a", **fields), 10.0)


def until_written(process: HostProcess) -> None:
    """Wait until answers are being written; what is done is run again."""
    process.until(lambda: job_of(process) is not None and job_of(process).task != "")
    if job_of(process).status == "finished":
        process.ask(protocol.Retry, job="a", documents=tuple(process.rows))
    process.until(lambda: job_of(process).in_work > 0 or job_of(process).status == "finished")


def test_pause_answers_at_once_and_the_job_says_that_it_is_pausing_and_how_many_are_left(host):
    assert give(host, START).ok
    until_written(host)
    assert give(host, PAUSE).ok
    host.until(lambda: job_of(host).status in ("pausing", "paused", "finished"))
    seen = job_of(host)
    assert seen.status == "pausing"
    assert seen.in_work > 0
    before = seen.elapsed
    host.until(lambda: job_of(host).elapsed > before)  # the clock counts what still runs
    assert give(host, STOP).ok
    host.until(lambda: job_of(host).status == "cancelled")
    assert job_of(host).in_work == 0


def orders() -> list[tuple]:
    every = list(itertools.permutations((PAUSE, RESUME, STOP, START, RETRY)))
    return random.Random(16).sample(every, 12)


@pytest.mark.timeout(180)
def test_every_order_of_commands_is_answered_while_answers_are_written_and_nothing_is_lost(host):
    give(host, START)
    for order in orders():
        until_written(host)
        for command in order:
            reply = give(host, command)
            assert reply.ok or "runs already" in reply.error
    give(host, STOP)
    assert give(host, START).ok
    host.until(lambda: job_of(host).status == "finished" and job_of(host).counts["done"] == 8)
    assert sum(job_of(host).counts.values()) == 8
    host.until(lambda: all(row.state == "done" for row in host.rows.values()))


def test_another_model_is_not_opened_over_answers_that_are_still_being_written(host):
    until_written(host)
    assert give(host, PAUSE).ok
    reply = host.ask(protocol.CloseModel)
    assert not reply.ok
    assert "still being written" in reply.error
    assert give(host, STOP).ok
    assert host.ask(protocol.CloseModel).ok
