"""How lanes that write share a pile: a small one keeps all of them busy, a large one is written about as it is read."""

from __future__ import annotations

import threading

import pytest
from oracle import TEXTS
from test_writing import PROMPT, make_decoder

from engine.lanes import generating
from engine.lanes.plan import Plan


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny qwen3 with a window of 256 tokens."""
    return make_decoder(tmp_path_factory.mktemp("decoder"))


def run(engine, folder, texts, *, lanes, slots):
    engine.set_plan(Plan("cpu", lanes, 1, "float32", slots)).result(30)
    engine.open_model(folder).result(60)
    engine.create_job("a")
    engine.add_texts("a", [(f"{i}.txt", text) for i, text in enumerate(texts)]).result(30)
    engine.submit("a", "generate", PROMPT)
    assert engine.wait("a", 120)
    assert engine.journal.counts("a")["done"] == len(texts)


def test_lanes_share_a_pile_that_one_of_them_has_room_for(fresh_engine, folder, monkeypatch):
    held = {0: 0, 1: 0}
    both = threading.Barrier(2)
    admit = generating.GeneratingLane._admit

    def admitted(lane, work, generator):
        if not held[lane._index]:
            held[lane._index] = len(work.items)
            both.wait(60)  # neither writes before both have something
        admit(lane, work, generator)

    monkeypatch.setattr(generating.GeneratingLane, "_admit", admitted)
    run(fresh_engine(), folder, [TEXTS[0]] * 6, lanes=2, slots=32)
    assert held == {0: 3, 1: 3}


def test_the_first_documents_are_written_about_before_the_last_are_read(fresh_engine, folder, monkeypatch):
    engine = fresh_engine()
    unread = []
    admit = generating.GeneratingLane._admit

    def admitted(lane, work, generator):
        unread.append(len(work.job.unprepared))
        admit(lane, work, generator)

    monkeypatch.setattr(generating.GeneratingLane, "_admit", admitted)
    run(engine, folder, [f"{TEXTS[0]} {i}" for i in range(100)], lanes=1, slots=2)
    assert unread[0] == 100 - 32
    assert unread == sorted(unread, reverse=True)
    assert unread[-1] == 0


def test_documents_of_an_urgent_job_that_are_meant_for_another_lane_are_not_passed_by_others(
    fresh_engine, folder, monkeypatch
):
    engine = fresh_engine()
    engine.set_plan(Plan("cpu", 2, 1, "float32", 32)).result(30)
    admitted, at_first_step, go = [], [], threading.Event()
    lane_type = generating.GeneratingLane
    run_lane, admit, step = lane_type.run, lane_type._admit, lane_type._step

    def late(lane):
        assert lane._index == 0 or go.wait(60)
        run_lane(lane)

    def watched_admit(lane, work, generator):
        admitted.extend(work.job.id for _ in work.items)
        admit(lane, work, generator)

    def watched_step(lane, generator):
        if not go.is_set():
            at_first_step.extend(admitted)
            go.set()
        step(lane, generator)

    monkeypatch.setattr(lane_type, "run", late)
    monkeypatch.setattr(lane_type, "_admit", watched_admit)
    monkeypatch.setattr(lane_type, "_step", watched_step)
    for name in ("later", "now"):
        engine.create_job(name)
        engine.add_texts(name, [(f"{i}.txt", TEXTS[0]) for i in range(8)]).result(30)
    engine.submit("later", "generate", PROMPT)
    engine.submit("now", "generate", PROMPT, priority=1)
    engine.open_model(folder).result(60)
    for name in ("later", "now"):
        assert engine.wait(name, 120)
        assert engine.journal.counts(name)["done"] == 8
    assert at_first_step == ["now"] * 4
