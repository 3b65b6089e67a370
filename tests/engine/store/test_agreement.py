"""Labels against the truth: the figures are scikit-learn's."""

from __future__ import annotations

import random
import warnings

import pytest

from engine.store.agreement import Agreement

LABELS = ["praise", "complaint", "other", "never given"]


@pytest.mark.parametrize("seed", range(5))
def test_figures_and_confusion_are_those_of_scikit_learn(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    chance = random.Random(seed)
    truth = [chance.choice(LABELS) for _ in range(200)]
    given = [t if chance.random() < 0.7 else chance.choice(LABELS[:3]) for t in truth]
    found = Agreement({"truth": t, "label": g} for t, g in zip(truth, given, strict=True))
    labels = found.labels
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a label that is never given has no precision
        figures = metrics.precision_recall_fscore_support(truth, given, labels=labels)
    for place, label in enumerate(labels):
        of = found.of(label)
        wanted = [round(float(figure[place]), 4) for figure in figures[:3]]
        assert [of["precision"], of["recall"], of["f1"]] == pytest.approx(wanted, abs=1e-4)
        assert of["documents"] == figures[3][place]
    matrix = metrics.confusion_matrix(truth, given, labels=labels)
    assert [[found.pairs[t, g] for g in labels] for t in labels] == matrix.tolist()
    assert found.accuracy == pytest.approx(metrics.accuracy_score(truth, given))


def test_case_and_space_do_not_make_two_labels_and_results_without_truth_do_not_count():
    found = Agreement([{"truth": " Praise", "label": "praise"}, {"label": "praise"}, {"truth": "x", "label": None}])
    assert (found.right, found.total, found.labels) == (1, 1, ["praise"])
    assert Agreement().accuracy == 0.0


def test_facts_are_plain_json():
    found = Agreement([{"truth": "a", "label": "a", "unsure": True}, {"truth": "a", "label": "b"}])
    assert found.facts() == {
        "right": 1,
        "of": 2,
        "accuracy": 0.5,
        "unsure": 1,
        "labels": {
            "a": {"documents": 2, "precision": 1.0, "recall": 0.5, "f1": 0.6667},
            "b": {"documents": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0},
        },
        "confusion": {"a": {"a": 1, "b": 1}},
    }
