"""Measured plans: tried on the pile's own texts, the best is kept and used wherever workers are left to the engine."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from model_folders import make_folder
from writing_jobs import make_decoder

from engine.api.plan import Plan
from engine.bench.plan import TEXTS, texts_of
from engine.cli.main import main
from engine.engine import Engine
from engine.errors import UsageError
from engine.telemetry import measured_plans


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return str(make_folder(tmp_path_factory.mktemp("model"), "bert"))


@pytest.fixture
def pile(tmp_path):
    folder = tmp_path / "pile"
    folder.mkdir()
    for n in range(12):
        (folder / f"{n}.txt").write_text(f"bread and water {n} " * (n + 1))
    return str(folder)


def plan_of(model: str, asked: Plan) -> Plan:
    with Engine() as engine:
        engine.set_plan(asked).result()
        engine.open_model(model).result()
        return engine.manager.plan


def test_the_best_of_an_encoders_plans_is_kept_and_used_where_workers_are_left_open(pile, encoder, capsys):
    assert main(["bench", "plan", pile, "--model", encoder, "--dtype", "float32", "--seconds", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    best = Plan(**told["best"])
    speeds = {tuple(row["plan"].values()): row["texts_per_s"] for row in told["plans"]}
    assert speeds[tuple(told["best"].values())] >= max(speeds.values()) / 1.03
    assert {row["plan"]["workers"] * row["plan"]["threads"] for row in told["plans"]} <= set(
        range(1, os.cpu_count() + 1)
    )
    assert told["kept"] == measured_plans.path()

    # What is used is what the file says, not what would be chosen anyway.
    kept = json.loads(Path(told["kept"]).read_text("utf-8"))
    (one,) = kept.values()
    one["plan"] |= {"workers": 3, "threads": 5}
    with open(told["kept"], "w", encoding="utf-8") as file:
        json.dump(kept, file)
    assert plan_of(encoder, Plan(dtype="float32")) == Plan("cpu", 3, 5, "float32")
    assert plan_of(encoder, Plan(workers=1, dtype="float32")).workers == 1
    assert plan_of(encoder, Plan(threads=1, dtype="float32")).workers != 3
    assert plan_of(encoder, Plan(dtype="int8")).threads != 5, "another format was not measured"
    assert best.slots == 0


def test_a_writers_slots_are_measured_too(pile, tmp_path, capsys):
    writer = str(make_decoder(tmp_path / "writer"))
    assert main(["bench", "plan", pile, "--model", writer, "--dtype", "float32", "--seconds", "1"]) == 0
    said = capsys.readouterr().out
    assert "32 slots" in said
    assert "It is used from now on" in said
    (kept,) = json.loads(Path(measured_plans.path()).read_text("utf-8")).values()
    assert kept["plan"]["slots"] in (8, 16, 32, 64)
    assert plan_of(writer, Plan(dtype="float32")).slots == kept["plan"]["slots"]


def test_texts_come_evenly_from_the_pile_and_none_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("n,text\n" + "".join(f"{n},the text number {n}\n" for n in range(4 * TEXTS)))
    found = texts_of([str(tmp_path)])
    assert len(found) == TEXTS
    assert found[:2] == ["the text number 0", "the text number 4"]
    with pytest.raises(UsageError, match="no text to measure with"):
        texts_of([str(tmp_path / "nothing")])
