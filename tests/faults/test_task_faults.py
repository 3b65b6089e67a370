"""A task whose own code fails in any way costs the document that it failed on: no worker, no other row."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from faulty import make_pile, rows_of
from model_folders import make_folder

from engine.cli.main import main
from engine.tasks.base import Outcome
from engine.tasks.classify import Classify
from engine.tasks.embed import Embed
from engine.tasks.generate import Generate


class Panic(BaseException):
    """Like a panic of code in Rust, which is no Exception."""


class Mute(Exception):
    """An error that cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def deep(levels: int = 200_000) -> dict:
    value: dict = {}
    for _ in range(levels):
        value = {"in": value}
    return value


def endless():
    return endless()


FAULTS: dict[str, Callable[[], object]] = {
    "0000.txt": lambda: raised(MemoryError()),
    "0001.txt": endless,
    "0002.txt": lambda: raised(Panic("index out of range")),
    "0003.txt": lambda: raised(Mute()),
    "0004.txt": lambda: raised(NotImplementedError("not yet")),
    "0005.txt": lambda: None,
    "0006.txt": lambda: Outcome({"label": object()}, "no JSON"),
    "0007.txt": lambda: Outcome(deep(), "too deep"),
    "0008.txt": lambda: Outcome({"score": float("nan")}, "not a number"),
}
COUNT = 40


def raised(error: BaseException):
    raise error


def fail_in_turn(monkeypatch, task: type, method: str) -> None:
    """Let the task fail in each of the ways once, and then work."""
    work = getattr(task, method)
    faults = list(FAULTS.values())

    def failing(self, *arguments):
        return faults.pop()() if faults else work(self, *arguments)

    monkeypatch.setattr(task, method, failing)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny encoder."""
    return make_folder(tmp_path_factory.mktemp("model"), "bert")


@pytest.mark.parametrize(("kind", "method"), [(Classify, "advance"), (Classify, "start"), (Generate, "advance")])
def test_a_task_that_fails_in_any_way_costs_that_row_only(kind, method, folder, tmp_path, monkeypatch):
    pile, out = make_pile(tmp_path / "pile", COUNT), tmp_path / "o.jsonl"
    task = kind.name
    fail_in_turn(monkeypatch, kind, method)
    if task == "classify":
        more = ["--labels", "water,bread"]
    else:
        folder = make_folder(tmp_path / "writer", "qwen3", modules=False, head="ForCausalLM", positions=256)
        more = ["--prompt", "Say: {text}", "--max-new-tokens", "3"]
    report = tmp_path / "r.json"
    arguments = ["run", task, *more, str(pile), "--model", folder, "--workers", "2", "--threads", "1"]
    assert main([*arguments, "--out", str(out), "--report", str(report)]) == 1
    states = [row["state"] for row in rows_of(out).values()]
    assert (states.count("failed"), states.count("done")) == (len(FAULTS), COUNT - len(FAULTS))
    assert all(row["error"] for row in rows_of(out).values() if row["state"] == "failed")
    told = json.loads(report.read_text())
    assert told["status"] == "finished"
    assert "ended" not in [worker["activity"] for worker in told["workers"]]


def test_a_task_that_cannot_name_its_own_texts_pauses_its_job_with_a_sentence(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Embed, "prepare_job", lambda self: raised(Panic("no texts")))
    pile = make_pile(tmp_path / "pile", 3)
    assert main(["run", "embed", str(pile), "--model", folder, "--out", str(tmp_path / "o.jsonl")]) == 1
    assert "no texts" in capsys.readouterr().err
    assert {row["state"] for row in rows_of(tmp_path / "o.jsonl").values()} == {"waiting"}


@pytest.mark.parametrize(
    "finish", [lambda _, rows: raised(Panic("no end")), lambda _, rows: {key: {"no": deep()} for key in rows}]
)
def test_a_task_that_fails_at_the_end_of_its_job_pauses_it_with_a_sentence_and_keeps_its_rows(
    finish, folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(Embed, "finish_job", finish, raising=False)
    pile = make_pile(tmp_path / "pile", 3)
    assert main(["run", "embed", str(pile), "--model", folder, "--out", str(tmp_path / "o.jsonl")]) == 1
    assert "The task failed at the end of the job" in capsys.readouterr().err
    assert {row["state"] for row in rows_of(tmp_path / "o.jsonl").values()} == {"done"}
