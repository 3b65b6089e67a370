"""What is taken off a pile can be put back, with its results, in its place."""

from __future__ import annotations

import pytest
from engine_helpers import states_of
from model_folders import make_folder
from test_engine import LABELS, counts, drain, pile

from engine.api.plan import Plan
from engine.engine import Engine
from engine.errors import UsageError
from engine.store.export import jsonl_row


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny BERT folder."""
    return make_folder(tmp_path_factory.mktemp("model"), "bert")


@pytest.fixture
def engine(fresh_engine, folder):
    """An engine with a tiny model and two workers."""
    made = fresh_engine()
    made.set_plan(Plan("cpu", 2, 1, "float32")).result(30)
    made.open_model(folder).result(60)
    return made


def exported(engine: Engine, job: str) -> list[dict]:
    return [jsonl_row(record, result, "classify") for record, result in engine.journal.results(job)]


def test_documents_come_back_in_their_places_with_their_results(engine):
    pile(engine, "a")
    engine.submit("a", "classify", LABELS)
    assert engine.wait("a", 30)
    before = exported(engine, "a")
    numbers = list(states_of(engine, "a"))
    taken = engine.take_off("a", [numbers[1], numbers[3]]).result(10)
    assert taken["count"] == 2
    assert len(exported(engine, "a")) == len(before) - 2
    assert engine.put_back("a", taken["removal"]).result(10) == 2
    assert exported(engine, "a") == before
    assert counts(engine, "a") == {"done": len(before)}
    _, rows, _, _ = drain(engine)
    assert [row.name for row in sorted(rows.values(), key=lambda row: row.position)] == [row["path"] for row in before]
    with pytest.raises(UsageError, match="cannot be undone"):
        engine.put_back("a", taken["removal"]).result(10)


def test_a_whole_pile_that_waits_comes_back_and_runs(engine):
    pile(engine, "a")
    count = len(states_of(engine, "a"))
    taken = engine.take_off("a").result(10)
    assert counts(engine, "a") == {}
    engine.put_back("a", taken["removal"]).result(10)
    engine.submit("a", "embed")
    assert engine.wait("a", 30)
    assert counts(engine, "a") == {"done": count}


def test_results_beyond_what_is_kept_are_not_promised_back(engine, monkeypatch):
    pile(engine, "a")
    engine.submit("a", "embed")
    assert engine.wait("a", 30)
    monkeypatch.setattr("engine.jobs.removals.LARGEST", 100)
    taken = engine.take_off("a").result(10)
    assert taken["removal"] == 0
    assert counts(engine, "a") == {}


def test_what_was_put_back_is_there_after_the_next_start(tmp_path):
    path = str(tmp_path / "journal.sqlite")
    with Engine(path) as engine:
        engine.create_job("a", "pile")
        engine.add_texts("a", [("1.txt", "one"), ("2.txt", "two"), ("3.txt", "three")]).result(10)
        second = list(states_of(engine, "a"))[1]
        taken = engine.take_off("a", [second]).result(10)
        engine.put_back("a", taken["removal"]).result(10)
    with Engine(path) as engine:
        names = [record.path for record in engine.journal.documents("a")]
        assert names == ["1.txt", "2.txt", "3.txt"]
        assert engine.journal.integrity() == "ok"
