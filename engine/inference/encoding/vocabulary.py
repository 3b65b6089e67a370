"""How many tokens a model has vectors for."""

from __future__ import annotations

from typing import Any


def vocabulary_of(model: Any) -> int:
    """Return how many tokens a model has vectors for; 256 where it has none and takes characters (CANINE)."""
    try:
        return int(model.get_input_embeddings().weight.shape[0])
    except (NotImplementedError, AttributeError):
        return 256
