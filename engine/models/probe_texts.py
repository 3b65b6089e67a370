"""Random texts for the check of an encoder at load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.inference.encoding.vocabulary import vocabulary_of

if TYPE_CHECKING:
    from engine.models.load import LoadedModel


def probe_lengths(window: int, longest: int) -> list[int]:
    """Return the text lengths of the check at load: equal ones, unequal ones, and one beyond any sliding window."""
    lengths = [7, 40, 40, 18]
    if window > 0:
        lengths.append(window + 20)
    return [max(3, min(n, longest)) for n in lengths]


def probe_texts(loaded: LoadedModel, lengths: list[int]) -> list[np.ndarray]:
    """Return random token ids of these lengths, with the model's special tokens around them (seeded)."""
    random = np.random.default_rng(20)
    vocabulary = vocabulary_of(loaded.model)
    prefix, suffix = loaded.tokenizer.prefix, loaded.tokenizer.suffix
    result = []
    for length in lengths:
        inner = max(1, length - len(prefix) - len(suffix))
        ids = random.integers(min(200, vocabulary // 4), vocabulary, inner, dtype=np.int32)
        result.append(np.concatenate([prefix, ids, suffix]))
    return result
