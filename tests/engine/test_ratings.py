"""Label and score of a result are told with its row, also by the next engine."""

from __future__ import annotations

import math

import pytest
from model_folders import make_folder
from test_engine import LABELS, drain, pile

from engine.api.plan import Plan
from engine.engine import Engine
from engine.tasks.base import rating


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"label": "a", "score": 0.5}, ("a", 0.5)),
        ({"label": "a", "score": 0.5, "unsure": True}, ("", 0.5)),
        ({"label": "a"}, ("", None)),
        ({"label": 3, "score": 0.5}, ("", None)),
        ({"label": "a", "score": math.nan}, ("", None)),
        ({"label": "a", "score": True}, ("", None)),
        ({"text": "an answer"}, ("", None)),
    ],
)
def test_a_rating_is_a_label_with_a_finite_score(value, told):
    assert rating(value) == told


def ratings(engine: Engine) -> dict[str, tuple[str, float | None]]:
    _, rows, _, _ = drain(engine)
    return {row.name: (row.label, row.score) for row in rows.values()}


def test_rows_tell_what_their_results_say_and_the_next_engine_tells_the_same(tmp_path, tmp_path_factory):
    path = str(tmp_path / "journal.sqlite")
    with Engine(path) as engine:
        engine.set_plan(Plan("cpu", 1, 1, "float32")).result(30)
        engine.open_model(make_folder(tmp_path_factory.mktemp("model"), "bert")).result(60)
        pile(engine, "a")
        assert set(ratings(engine).values()) == {("", None)}
        engine.submit("a", "classify", LABELS)
        assert engine.wait("a", 30)
        told = ratings(engine)
        results = {record.path: result.value for record, result in engine.journal.results("a")}
    assert len(told) > 2
    assert all(told[name] == rating(value) and value["score"] == told[name][1] for name, value in results.items())
    with Engine(path) as engine:
        engine.show_job("a").result(10)
        assert ratings(engine) == told
