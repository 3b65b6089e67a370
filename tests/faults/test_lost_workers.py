"""A worker that ends by an error that belongs to no document: the others go on, and without any the job says so."""

from __future__ import annotations

import json
import threading

import pytest
from model_folders import make_folder

from engine.api.plan import Plan
from engine.cli.main import main
from engine.engine import Engine
from engine.workers import generator
from engine.workers.generator import GeneratorInside
from engine.workers.message import Written

PROMPT = {"prompt": "Answer in a word: {text}", "max_new_tokens": 6}
TEXTS = [(f"{n}.txt", f"text number {n}") for n in range(60)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny text generator."""
    place = tmp_path_factory.mktemp("writer")
    return make_folder(place, "qwen3", modules=False, head="ForCausalLM", positions=256)


@pytest.fixture
def engine(tmp_path, folder):
    """An engine with two workers that write, of four slots."""
    made = Engine(str(tmp_path / "session"))
    made.set_plan(Plan("cpu", 2, 1, "float32", 4)).result(30)
    yield made
    assert made.close(5.0)


def breaks(monkeypatch, wanted):
    """Let the workers for which ``wanted`` says so end in the middle of what they write, with the first text done."""

    class Breaking(GeneratorInside):
        def __init__(self, index, loaded, tokenizer, meter, post, board, **sizes):
            def told(message):
                if isinstance(message, Written) and wanted(index):
                    raise RuntimeError("nobody expects this")
                post(message)

            super().__init__(index, loaded, tokenizer, meter, told, board, **sizes)

    monkeypatch.setattr(generator, "GeneratorInside", Breaking)
    return Breaking


def begin(engine, folder, texts=TEXTS):
    engine.open_model(folder).result(60)
    engine.create_job("job", "letters")
    engine.add_texts("job", texts).result(30)
    engine.submit("job", "generate", PROMPT)


def test_what_a_worker_had_in_work_goes_to_another(engine, folder, monkeypatch):
    breaks(monkeypatch, lambda worker: worker == 1)
    begin(engine, folder)
    assert engine.wait("job", 60)
    snapshot = engine.snapshot()
    assert snapshot.jobs[0].status == "finished"
    assert engine.journal.counts("job")["done"] == len(TEXTS)
    assert snapshot.workers[1].documents == 0
    assert snapshot.workers[0].documents == len(TEXTS)


def test_parts_of_one_document_that_two_workers_have_come_together(engine, folder, monkeypatch):
    both = threading.Barrier(2)

    class Meeting(breaks(monkeypatch, lambda worker: worker == 1)):
        met = False

        def step(self):
            if not self.met:
                self.met = True
                both.wait(60)  # both have parts of it
            super().step()

    monkeypatch.setattr(generator, "GeneratorInside", Meeting)
    engine.open_model(folder).result(60)
    long = " ".join(f"word{n}" for n in range(600))
    engine.create_job("job", "letters")
    engine.add_texts("job", [("long.txt", long)]).result(30)
    engine.submit("job", "generate", PROMPT)
    assert engine.wait("job", 60)
    ((record, result),) = engine.journal.results("job")
    assert record.state == "done"
    assert result.value["parts"] > 2
    assert engine.snapshot().workers[1].activity == "ended"


def test_a_worker_that_is_gone_is_left_no_share(folder, monkeypatch):
    admitted: list[int] = []

    class Counting(GeneratorInside):
        def __init__(self, index, *rest, **sizes):
            if index == 1:
                raise MemoryError("no room for a second worker")
            super().__init__(index, *rest, **sizes)

        def run(self, assignment):
            admitted.append(len(assignment.work.items))
            super().run(assignment)

    monkeypatch.setattr(generator, "GeneratorInside", Counting)
    engine = Engine()
    try:
        engine.set_plan(Plan("cpu", 2, 1, "float32", 32)).result(30)
        engine.open_model(folder).result(60)
        coordinator = engine.coordinator
        coordinator.when(lambda: coordinator.workers.meters[1].activity == "ended").result(60)
        coordinator.worker_ended(0, 0, "said by a worker of an earlier plan")
        assert not coordinator.call(lambda: coordinator.workers.gone)
        engine.create_job("job", "letters")
        engine.add_texts("job", TEXTS[:6]).result(30)
        engine.submit("job", "generate", PROMPT)
        assert engine.wait("job", 60)
        assert engine.journal.counts("job")["done"] == 6
        assert admitted == [6]
    finally:
        assert engine.close(5.0)


def test_without_workers_the_job_pauses_and_goes_on_when_there_are_some(engine, folder, monkeypatch):
    with monkeypatch.context() as patch:
        breaks(patch, lambda _worker: True)
        begin(engine, folder)
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


def test_a_command_without_workers_ends_with_the_reason_and_goes_on_when_given_again(
    tmp_path, folder, monkeypatch, capsys
):
    pile = tmp_path / "pile"
    pile.mkdir()
    for name, text in TEXTS[:5]:
        (pile / name).write_text(text)
    out = tmp_path / "rows.jsonl"
    command = ["run", "generate", "--prompt", "Answer: {text}", "--max-new-tokens", "4", "--model", folder, str(pile)]
    command += ["--workers", "1", "--threads", "1", "--dtype", "float32", "--out", str(out)]
    with monkeypatch.context() as patch:
        breaks(patch, lambda _worker: True)
        assert main(command) == 1
    assert "nobody expects this" in capsys.readouterr().err
    assert main(command) == 0
    assert [json.loads(line)["state"] for line in out.read_text().splitlines()] == ["done"] * 5
