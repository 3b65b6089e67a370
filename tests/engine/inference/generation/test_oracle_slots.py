"""Greedy tokens over slots equal generate()'s, token for token, whatever runs beside them."""

from __future__ import annotations

import generation_oracle as oracle
import pytest

FULL = ("llama", "gemma2")
REST = (
    "qwen2",
    "qwen3",
    "mistral",
    "gemma3_text",
    "phi3",
    "phi3_longrope",
    "gpt2",
    "gpt_neox",
    "opt",
    "olmo2",
    "granite",
    "starcoder2",
    "smollm3",
    "cohere",
    "qwen3_moe",
    "mixtral",
    "gpt_oss",
    "gemma3n_text",
    "deepseek_v2",
    "nemotron",
    "lfm2",
)


@pytest.mark.parametrize("family", FULL)
def test_tokens_equal_generate_in_every_combination(family: str) -> None:
    oracle.check(family, oracle.CROSS)


@pytest.mark.parametrize("family", REST)
def test_tokens_equal_generate_in_every_pair_of_settings(family: str) -> None:
    oracle.check(family, oracle.PAIRWISE)


def test_the_oracle_texts_are_varied_enough_to_tell_prompts_apart() -> None:
    """A matrix of texts that repeat one token could not fail."""
    for family in ("llama", "gemma2", "lfm2", "gpt_oss"):
        texts = [tuple(t.tokens) for t in oracle.subject(family).truths if len(t.tokens) > 1]
        assert len(set(texts)) == len(texts)
        assert sum(len(set(text)) for text in texts) > 0.3 * sum(len(text) for text in texts)


def test_a_mixed_up_text_is_an_error_of_the_oracle() -> None:
    mine = oracle.subject("llama")
    tokens = {i: list(t.tokens) for i, t in enumerate(mine.truths)}
    tokens[0], tokens[3] = tokens[3], tokens[0]
    with pytest.raises(AssertionError, match="the oracle is sure"):
        oracle.ties(mine.truths, tokens, "swapped")
