"""Key sentences: word for word at their places, chosen as a slow and plain calculation over embed's vectors chooses."""

from __future__ import annotations

import numpy as np
import pytest
from model_folders import make_folder

from engine import tasks
from engine.api.plan import Plan
from engine.documents.sentences import sentence_spans
from engine.engine import Engine
from engine.errors import UsageError
from engine.tasks.sentences import choose

TEXT = (
    "The parcel came late. It was wet, and the box was torn! Nobody answered my mails. Is that how you treat customers?\n\n"
    "I want my money back. The parcel came late. Yours, Ann"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(make_folder(tmp_path_factory.mktemp("model"), "bert"))


def run(engine: Engine, job: str, task: str, texts: list[str], settings: dict | None = None) -> list:
    engine.create_job(job)
    engine.add_texts(job, [(f"{n}.txt", text) for n, text in enumerate(texts)]).result()
    engine.submit(job, task, settings or {})
    assert engine.wait(job, 60)
    assert engine.journal.flush(10.0)
    return list(engine.journal.results(job, vectors=True))


def plain_choice(whole: np.ndarray, vectors: np.ndarray, count: int) -> list[int]:
    """Maximal marginal relevance as it is written down, without anything clever."""

    def cosine(one: np.ndarray, other: np.ndarray) -> float:
        return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))

    chosen: list[int] = []
    while len(chosen) < min(count, len(vectors)):
        worth = {
            n: cosine(vectors[n], whole)
            if not chosen
            else 0.7 * cosine(vectors[n], whole)
            - 0.3 * (near := max(cosine(vectors[n], vectors[c]) for c in chosen))
            - (4 if near >= 0.95 else 0)
            for n in range(len(vectors))
            if n not in chosen
        }
        chosen.append(max(worth, key=lambda n: (round(worth[n], 5), -n)))
    return chosen


def test_the_sentences_are_those_of_a_plain_calculation_at_their_places_in_the_text(folder):
    with Engine() as engine:
        engine.set_plan(Plan("cpu", 1, 1, "float32")).result()
        engine.open_model(folder).result()
        spans = sentence_spans(TEXT)
        parts = [TEXT[start:end] for start, end in spans]
        vectors = [np.frombuffer(result.vector, "<f4") for _, result in run(engine, "parts", "embed", [TEXT, *parts])]
        for count in (1, 3, 5):
            ((record, result),) = run(engine, f"key {count}", "sentences", [TEXT], {"count": count})
            found = result.value["sentences"]
            assert all(TEXT[one["start"] : one["end"]] == one["text"] for one in found)
            wanted = sorted(plain_choice(vectors[0], np.stack(vectors[1:]), count))
            assert [(one["start"], one["end"]) for one in found] == [spans[n] for n in wanted]
            assert result.value["of"] == len(parts) == 7
            assert record.coverage == 1.0
        assert result.value["text"].splitlines() == [one["text"] for one in found]


def test_a_sentence_that_says_the_same_again_is_chosen_last():
    vectors = np.array([[1, 0], [1, 0], [0.8, 0.6]], np.float32)
    likeness = vectors @ np.array([1, 0], np.float32)
    assert choose(likeness, vectors, 2) == [0, 2]
    assert choose(likeness, vectors, 9) == [0, 2, 1]
    assert choose(likeness[:0], vectors[:0], 3) == []


def test_a_text_that_is_not_held_is_refused_and_not_answered_with_nothing(folder, tmp_path):
    (tmp_path / "long.txt").write_text("A sentence of some words. " * 60_000)
    with Engine() as engine:
        engine.open_model(folder).result()
        engine.create_job("job")
        engine.add_paths("job", [str(tmp_path / "long.txt")]).result()
        engine.submit("job", "sentences", {})
        assert engine.wait("job", 60)
        ((record, result),) = engine.journal.results("job")
    assert (record.state, result) == ("failed", None)
    assert record.reason.startswith("too long for this task")


def test_the_number_of_sentences_is_bounded():
    with pytest.raises(UsageError, match="Sentences has to be between 1 and 100"):
        tasks.make("sentences", {"count": 0})
