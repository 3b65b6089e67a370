"""Pause, Resume, Stop, Start and Retry in any order, while answers are being written: the job answers, nothing is lost.

Once with the coordinator and workers of a few lines, over thousands of steps; once with the real engine process.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest
from host_process import HostProcess
from model_folders import make_folder
from worker_machine import PROMPTS, Machine, Twice

from engine import api, tasks
from engine.api.state import State
from engine.jobs import control, result_cache


@pytest.fixture
def machine(request) -> Iterator[Machine]:
    made = Machine(request.param)
    yield made
    made.close()


@pytest.mark.parametrize("machine", range(60), indirect=True)
def test_after_any_order_of_commands_the_job_ends_with_every_document_accounted_for(machine):
    job, coordinator = machine.job, machine.coordinator
    machine.start(rest=False)
    for _ in range(120):
        machine.command() if machine.dice.random() < 0.25 else machine.step()
        machine.check()
    settled = coordinator.when(lambda: control.settled(coordinator, job))
    machine.drain()
    machine.settle()
    assert settled.done()
    machine.finish()
    if job.status != "finished":
        machine.start(rest=True)
        machine.drain()
        machine.finish()
    machine.do(lambda: control.retry(coordinator, job, ()))
    machine.drain()
    machine.finish()
    states = {document.record.state for document in job.pile.documents.values()}
    assert job.status == "finished"
    assert states <= {State.DONE, State.FAILED}
    assert (job.under_way, job.in_workers, job.advancing, job.looking, job.pile.bytes_open) == (0, set(), 0, 0, 0)
    kept = {record.id: (record.state, result) for record, result in machine.journal.results("j")}
    assert {n: d.record.state for n, d in job.pile.documents.items()} == {n: s for n, (s, _) in kept.items()}
    assert all((result is not None) == (state == State.DONE) for state, result in kept.values())


@pytest.mark.parametrize("machine", range(20), indirect=True)
def test_what_a_worker_brings_of_a_stopped_run_is_never_the_answer_to_another_question(machine):
    job, coordinator = machine.job, machine.coordinator
    machine.start(rest=False)
    for _ in range(40):
        machine.step()
    machine.settle()
    machine.do(lambda: control.cancel(coordinator, job))
    before = {n for n, d in job.pile.documents.items() if d.record.state in (State.DONE, State.FAILED)}
    made = Twice("third") if machine.steps == 2 else tasks.make("generate", {"prompt": "third"})
    machine.do(lambda: control.submit(coordinator, job, made, {"prompt": "third"}, 0, again=True, rest=True))
    machine.helpers.submit(result_cache.look_up, coordinator, job)
    machine.drain()
    while job.status == "paused":  # a device was lost
        machine.do(lambda: control.start(coordinator, job))
        machine.drain()
    said = {r.id: str(result.value) for r, result in machine.journal.results("j") if result is not None}
    assert [text for n, text in said.items() if n not in before and any(prompt in text for prompt in PROMPTS)] == []
    assert any("third" in text for text in said.values())


# ------------------------------------------------------------------------------------------------- the real engine process
@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """An engine process with a tiny text generator open, and eight documents on a pile."""
    folder = make_folder(tmp_path_factory.mktemp("m"), "qwen3", modules=False, head="ForCausalLM", positions=512)
    pile = tmp_path_factory.mktemp("pile")
    for n in range(8):
        (pile / f"{n}.txt").write_text(f"The {n} dogs and the two cats slept beside the old horse.", "utf-8")
    process = HostProcess()
    assert process.ask(api.OpenModel, folder=folder).ok
    process.send(api.CreateJob, job="a", name="pile")
    assert process.ask(api.AddPaths, job="a", paths=(str(pile),)).ok
    yield process
    process.end()


SETTINGS = {"prompt": "Say {text}", "max_new_tokens": 400, "temperature": 0.0}
START = (api.Submit, {"task": "generate", "settings": SETTINGS, "rest": True, "again": True})
PAUSE, RESUME, STOP, RETRY = ((kind, {}) for kind in (api.Pause, api.Resume, api.Cancel, api.Retry))


def job_of(process: HostProcess):
    return next((job for job in process.snapshot.jobs if job.id == "a"), None) if process.snapshot else None


def give(process: HostProcess, command) -> api.Reply:
    kind, fields = command
    return process.reply(process.send(kind, job="a", **fields), 10.0)


def until_written(process: HostProcess) -> None:
    """Wait until answers are being written; what is done is run again."""
    process.until(lambda: job_of(process) is not None and job_of(process).task != "")
    if job_of(process).status == "finished":
        process.ask(api.Retry, job="a", documents=tuple(process.rows))
        process.until(lambda: job_of(process).status != "finished")  # the snapshot from before says so still
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
    reply = host.ask(api.CloseModel)
    assert not reply.ok
    assert "still being written" in reply.error
    assert give(host, STOP).ok
    assert host.ask(api.CloseModel).ok
