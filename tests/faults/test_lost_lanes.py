"""A lane that ends by an error that belongs to no document: the others go on, and without any the job says so."""

from __future__ import annotations

import json
import threading

import pytest
from model_folders import make_folder

from engine.cli import main
from engine.engine import Engine
from engine.lanes.generating import GeneratingLane
from engine.lanes.plan import Plan

PROMPT = {"prompt": "Answer in a word: {text}", "max_new_tokens": 6}
TEXTS = [(f"{n}.txt", f"text number {n}") for n in range(60)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny text generator."""
    place = tmp_path_factory.mktemp("writer")
    return make_folder(place, "qwen3", modules=False, head="ForCausalLM", positions=256)


@pytest.fixture
def engine(tmp_path, folder):
    """An engine with two lanes that write, of four slots."""
    made = Engine(str(tmp_path / "session"))
    made.set_plan(Plan("cpu", 2, 1, "float32", 4)).result(30)
    made.open_model(folder).result(60)
    yield made
    assert made.close(5.0)


def breaks(monkeypatch, wanted):
    """Let the lanes for which ``wanted`` says so end in the middle of what they write."""
    hear = GeneratingLane._hear

    def heard(self, events):
        if wanted(self._index):
            raise RuntimeError("nobody expects this")
        hear(self, events)

    monkeypatch.setattr(GeneratingLane, "_hear", heard)


def begin(engine, texts=TEXTS):
    engine.create_job("job", "letters")
    engine.add_texts("job", texts).result(30)
    engine.submit("job", "generate", PROMPT)


def test_what_a_lane_had_in_work_goes_to_another(engine, monkeypatch):
    breaks(monkeypatch, lambda lane: lane == 1)
    begin(engine)
    assert engine.wait("job", 60)
    snapshot = engine.snapshot()
    assert snapshot.jobs[0].status == "finished"
    assert engine.journal.counts("job")["done"] == len(TEXTS)
    assert snapshot.lanes[1].documents == 0
    assert snapshot.lanes[0].documents == len(TEXTS)


def test_parts_of_one_document_that_two_lanes_have_come_together(engine, monkeypatch):
    both = threading.Barrier(2)
    run_step = GeneratingLane._step
    hear = GeneratingLane._hear
    met: set[int] = set()

    def step(self, generator):
        if self._index not in met:
            met.add(self._index)
            both.wait(60)  # both have parts of it
        run_step(self, generator)

    def heard(self, events):
        if self._index == 1:
            raise RuntimeError("nobody expects this")
        hear(self, events)

    monkeypatch.setattr(GeneratingLane, "_step", step)
    monkeypatch.setattr(GeneratingLane, "_hear", heard)
    long = " ".join(f"word{n}" for n in range(600))
    engine.create_job("job", "letters")
    engine.add_texts("job", [("long.txt", long)]).result(30)
    engine.submit("job", "generate", PROMPT)
    assert engine.wait("job", 60)
    ((record, result),) = engine.journal.results("job")
    assert record.state == "done"
    assert result.value["parts"] > 2
    assert engine.snapshot().lanes[1].activity == "ended"


def test_a_lane_that_is_gone_is_left_no_share(tmp_path, folder, monkeypatch):
    run_lane, admit = GeneratingLane.run, GeneratingLane._admit
    admitted: list[int] = []

    def run(self):
        if self._index == 1:
            raise MemoryError("no room for a second lane")
        run_lane(self)

    def counted(self, work, generator):
        admitted.append(len(work.items))
        admit(self, work, generator)

    monkeypatch.setattr(GeneratingLane, "run", run)
    monkeypatch.setattr(GeneratingLane, "_admit", counted)
    engine = Engine()
    try:
        engine.set_plan(Plan("cpu", 2, 1, "float32", 32)).result(30)
        engine.open_model(folder).result(60)
        runner = engine.runner
        with runner.lock:
            assert runner.work.wait_for(lambda: runner.lanes[1].activity == "ended", 60)
        runner.lane_ended(0, runner.generation - 1, "said by a lane of an earlier plan")
        assert not runner.gone
        begin(engine, TEXTS[:6])
        assert engine.wait("job", 60)
        assert engine.journal.counts("job")["done"] == 6
        assert admitted == [6]
    finally:
        assert engine.close(5.0)


def test_without_lanes_the_job_pauses_and_goes_on_when_there_are_some(engine, folder, monkeypatch):
    with monkeypatch.context() as patch:
        breaks(patch, lambda _lane: True)
        begin(engine)
        assert engine.wait("job", 60)
        (job,) = engine.snapshot().jobs
        assert job.status == "paused"
        assert "nobody expects this" in job.message
        assert "Start the engine again" in job.message
        assert engine.journal.counts("job")["failed"] == 0
        engine.resume("job")
        (job,) = engine.snapshot().jobs
        assert job.status == "paused", "nobody is there to go on"
    engine.open_model(folder).result(60)
    engine.resume("job")
    assert engine.wait("job", 60)
    assert engine.journal.counts("job")["done"] == len(TEXTS)


def test_a_command_without_lanes_ends_with_the_reason_and_goes_on_when_given_again(
    tmp_path, folder, monkeypatch, capsys
):
    pile = tmp_path / "pile"
    pile.mkdir()
    for name, text in TEXTS[:5]:
        (pile / name).write_text(text)
    out = tmp_path / "rows.jsonl"
    command = ["run", "generate", "--prompt", "Answer: {text}", "--max-new-tokens", "4", "--model", folder, str(pile)]
    command += ["--lanes", "1", "--threads", "1", "--dtype", "float32", "--out", str(out)]
    with monkeypatch.context() as patch:
        breaks(patch, lambda _lane: True)
        assert main(command) == 1
    assert "nobody expects this" in capsys.readouterr().err
    assert main(command) == 0
    assert [json.loads(line)["state"] for line in out.read_text().splitlines()] == ["done"] * 5
