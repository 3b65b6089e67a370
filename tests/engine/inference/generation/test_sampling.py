"""Sampling: filters mean what transformers' mean, draws follow the distribution, neighbours change nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from engine.errors import UsageError
from engine.inference.generation.sampling import (
    Draw,
    SamplingSettings,
    choose,
    document_generator,
    draw_tokens,
    filtered,
)

VOCABULARY = 97


def logits(seed: int, rows: int = 4, size: int = VOCABULARY, spread: float = 3.0) -> torch.Tensor:
    return torch.randn(rows, size, generator=torch.Generator().manual_seed(seed)) * spread


def draw(options: dict[str, Any] | None = None, prompt: list[int] | None = None, name: str = "a") -> Draw:
    mine = SamplingSettings(**(options or {}))
    return Draw(mine, np.array(prompt or [1]), document_generator(mine.seed, name))


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([0.3, 0.7, 1.0, 1.7]),
    st.sampled_from([0, 1, 5, 40, 500]),
    st.sampled_from([0.05, 0.4, 0.9, 0.99, 1.0]),
    st.sampled_from([0.0, 0.02, 0.3, 1.0]),
)
def test_filters_equal_those_of_transformers(seed: int, temperature: float, k: int, p: float, min_p: float) -> None:
    scores = logits(seed)
    warpers = LogitsProcessorList([TemperatureLogitsWarper(temperature)])
    if k:
        warpers.append(TopKLogitsWarper(k))
    if p < 1.0:
        warpers.append(TopPLogitsWarper(p))
    if min_p:
        warpers.append(MinPLogitsWarper(min_p))
    expected = warpers(torch.zeros(4, 1, dtype=torch.long), scores.clone())
    ours = filtered(scores, SamplingSettings(temperature=temperature, top_k=k, top_p=p, min_p=min_p))
    assert torch.equal(torch.isinf(ours), torch.isinf(expected))
    torch.testing.assert_close(torch.softmax(ours, -1), torch.softmax(expected, -1))


def test_top_p_over_a_flat_vocabulary_larger_than_its_first_sort_equals_transformers() -> None:
    scores = logits(3, rows=2, size=5000, spread=0.3)
    expected = TopPLogitsWarper(0.8)(torch.zeros(2, 1, dtype=torch.long), scores.clone())
    ours = filtered(scores, SamplingSettings(temperature=1.0, top_p=0.8))
    assert 1024 < int((~torch.isinf(ours[0])).sum()) < 5000
    # The mass is summed from the other end here, so that the last token at the border may differ.
    assert int((torch.isinf(ours) != torch.isinf(expected)).sum()) <= 2


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([0.5, 0.9, 1.2, 2.0]),
    st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=30),
    st.lists(st.integers(0, VOCABULARY - 1), max_size=10),
)
def test_repetition_penalty_equals_that_of_transformers(
    seed: int, penalty: float, prompt: list[int], text: list[int]
) -> None:
    scores = logits(seed, rows=1)
    expected = RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor([prompt + text]), scores.clone())
    mine = draw({"repetition_penalty": penalty}, prompt)
    for token in text:
        mine.accept(token)
    row = scores[0].clone()
    mine.penalise(row)
    torch.testing.assert_close(row, expected[0])


def test_frequency_penalty_counts_occurrences_in_the_text_alone() -> None:
    mine = draw({"frequency_penalty": 0.5}, prompt=[3, 3, 3])
    for token in (5, 7, 5):
        mine.accept(token)
    row = torch.zeros(10)
    mine.penalise(row)
    assert row.tolist() == [0, 0, 0, 0, 0, -1.0, 0, -0.5, 0, 0]


def test_penalties_apply_to_greedy_rows_too() -> None:
    scores = torch.tensor([[1.0, 2.0, 1.9]])
    mine = draw({"frequency_penalty": 1.0})
    assert choose(scores, [mine]) == [1]
    mine.accept(1)
    assert choose(scores, [mine]) == [2]


def test_draws_follow_the_filtered_distribution() -> None:
    """Pearson's chi-square over 20,000 seeded draws stays below the 99.99 % point of its distribution."""
    mine = SamplingSettings(temperature=0.8, top_k=12, top_p=0.95)
    scores = filtered(logits(1, rows=1), mine)
    expected = torch.softmax(scores, -1)[0].double().numpy()
    n = 20_000
    uniform = torch.from_numpy(np.random.default_rng(0).random(n))
    counts = np.bincount(draw_tokens(scores.expand(n, -1), uniform).numpy(), minlength=VOCABULARY)
    assert counts[expected == 0].sum() == 0
    kept = expected > 0
    statistic = float((((counts - n * expected) ** 2)[kept] / (n * expected[kept])).sum())
    degrees = int(kept.sum()) - 1
    # Wilson and Hilferty's approximation of the chi-square quantile; 3.719 is the normal's at 0.9999.
    bound = degrees * (1 - 2 / (9 * degrees) + 3.719 * (2 / (9 * degrees)) ** 0.5) ** 3
    assert statistic < bound


@pytest.mark.parametrize("u", [0.0, 0.5, 1.0 - 2**-53])
def test_a_draw_never_takes_a_token_without_probability(u: float) -> None:
    scores = torch.full((1, 9), float("-inf"))
    scores[0, [2, 5]] = torch.tensor([0.0, -20.0])
    assert int(draw_tokens(scores, torch.tensor([u], dtype=torch.float64))) in (2, 5)
    scores[0, 5] = float("-inf")
    assert int(draw_tokens(scores, torch.tensor([u], dtype=torch.float64))) == 2


def test_a_document_draws_the_same_whatever_runs_beside_it() -> None:
    mixed = [{"temperature": 0.9}, {"temperature": 0.0}, {"temperature": 1.3, "top_k": 5}, {"repetition_penalty": 1.2}]
    scores = [logits(seed) for seed in range(6)]

    def texts(rows: list[int]) -> dict[int, list[int]]:
        draws = [draw(mixed[row], name=f"document {row}") for row in rows]
        result: dict[int, list[int]] = {row: [] for row in rows}
        for step in scores:
            for row, mine, token in zip(rows, draws, choose(step[rows], draws), strict=True):
                mine.accept(token)
                result[row].append(token)
        return result

    together = texts([0, 1, 2, 3])
    backwards = texts([3, 2, 1, 0])
    for row in range(4):
        assert together[row] == backwards[row] == texts([row])[row]


def test_the_generator_of_a_document_depends_on_seed_and_content_only() -> None:
    def first(seed: int, sha256: str) -> float:
        return document_generator(seed, sha256).random()

    assert first(1, "ab") == first(1, "ab")
    assert len({first(1, "ab"), first(2, "ab"), first(1, "ac"), first(11, "b")}) == 4
    # A fixed value: the same text on every machine and after every update of the program.
    assert document_generator(7, "00ff").integers(0, 2**32, 3).tolist() == FIXED


FIXED = [2381631294, 4145630810, 2319758321]


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_new_tokens": 0},
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"min_p": 1.5},
        {"repetition_penalty": 0.0},
        {"frequency_penalty": 1000.0},
        {"stop": ("",)},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="Sampling: "):
        SamplingSettings(**wrong)
