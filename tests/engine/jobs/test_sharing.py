"""How workers that write share a pile: a small one keeps all of them busy, a large one is written about as it is read."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from oracle import TEXTS
from writing_jobs import PROMPT, make_decoder

from engine.api.plan import Plan
from engine.engine import Engine
from engine.requests.item import WorkItem
from engine.scheduling.policies import Slots
from engine.scheduling.scheduler import Scheduler
from engine.workers.generator import GeneratorInside
from engine.workers.worker import Worker


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny qwen3 with a window of 256 tokens."""
    return make_decoder(tmp_path_factory.mktemp("decoder"))


def run(engine, folder, texts, *, workers, slots):
    engine.set_plan(Plan("cpu", workers, 1, "float32", slots)).result(30)
    engine.open_model(folder).result(60)
    engine.create_job("a")
    engine.add_texts("a", [(f"{i}.txt", text) for i, text in enumerate(texts)]).result(30)
    engine.submit("a", "generate", PROMPT)
    assert engine.wait("a", 120)
    assert engine.journal.counts("a")["done"] == len(texts)


def test_workers_share_a_pile_that_one_of_them_has_room_for(fresh_engine, folder, monkeypatch):
    held = {0: 0, 1: 0}
    both = threading.Barrier(2)
    real = GeneratorInside.run

    def admitted(inside, assignment):
        if not held[inside._index]:
            held[inside._index] = len(assignment.work.items)
            both.wait(60)  # neither writes before both have something
        real(inside, assignment)

    monkeypatch.setattr(GeneratorInside, "run", admitted)
    run(fresh_engine(), folder, [TEXTS[0]] * 6, workers=2, slots=32)
    assert held == {0: 3, 1: 3}


def test_the_first_documents_are_written_about_before_the_last_are_read(fresh_engine, folder, monkeypatch):
    engine = fresh_engine()
    unread = []
    real = GeneratorInside.run

    def admitted(inside, assignment):
        unread.append(engine.coordinator.call(lambda: engine.coordinator.scheduler.waiting("a")[0]))
        real(inside, assignment)

    monkeypatch.setattr(GeneratorInside, "run", admitted)
    run(engine, folder, [f"{TEXTS[0]} {i}" for i in range(100)], workers=1, slots=2)
    assert unread[0] == 100 - 32
    assert unread == sorted(unread, reverse=True)
    assert unread[-1] == 0


def test_documents_of_an_urgent_job_that_are_meant_for_another_worker_are_not_passed_by_others(
    fresh_engine, folder, monkeypatch
):
    engine: Engine = fresh_engine()
    engine.set_plan(Plan("cpu", 2, 1, "float32", 32)).result(30)
    admitted, at_first_step, go = [], [], threading.Event()
    run_worker, admit, step = Worker.run, GeneratorInside.run, GeneratorInside.step

    def late(worker):
        assert worker._index == 0 or go.wait(60)
        run_worker(worker)

    def watched_admit(inside, assignment):
        admitted.extend(assignment.run.job for _ in assignment.work.items)
        admit(inside, assignment)

    def watched_step(inside):
        if not go.is_set():
            at_first_step.extend(admitted)
            go.set()
        step(inside)

    monkeypatch.setattr(Worker, "run", late)
    monkeypatch.setattr(GeneratorInside, "run", watched_admit)
    monkeypatch.setattr(GeneratorInside, "step", watched_step)
    for name in ("later", "now"):
        engine.create_job(name)
        engine.add_texts(name, [(f"{i}.txt", TEXTS[0]) for i in range(8)]).result(30)
    engine.submit("later", "generate", PROMPT)
    engine.submit("now", "generate", PROMPT, priority=1)
    engine.open_model(folder).result(60)
    for name in ("later", "now"):
        assert engine.wait(name, 120)
        assert engine.journal.counts(name)["done"] == 8
    assert set(at_first_step) == {"now"}


def test_a_worker_with_room_leaves_an_urgent_jobs_share_to_the_other_and_takes_nothing_less_urgent():
    scheduler = Scheduler()
    scheduler.set_workers(2, Slots(32))
    for job, priority in (("later", 0), ("now", 1)):
        scheduler.add_job(job, priority)
        scheduler.need_set_up(job, needed=False)
        scheduler.open(job)
        scheduler.add_items(job, [WorkItem(n, 0, 1, np.zeros(5, np.int32)) for n in range(8)])
    mine = scheduler.next(0)
    assert (mine.job, len(mine.items)) == ("now", 4)
    assert scheduler.next(0) is None
    theirs = scheduler.next(1)
    assert (theirs.job, len(theirs.items)) == ("now", 4)
    assert scheduler.next(0).job == "later"
