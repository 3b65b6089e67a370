"""The window of an embedding model: how many tokens of a text it takes at once."""

from __future__ import annotations

import os
from typing import Any

from engine.errors import ModelError
from engine.models.json_file import read_object
from engine.models.sizes import text_config
from engine.models.weights import Weights

_UNLIMITED = 512
"""Tokens a text where neither folder nor family sets a limit; longer texts are split."""

_OFFSET_FAMILIES = (
    "camembert", "data2vec-text", "esm", "ibert", "lilt", "longformer", "luke", "markuplm", "mpnet", "roberta",
    "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod",
)  # fmt: skip
"""Families whose first position is ``pad_token_id + 1``: the rows before it never hold a token."""


def max_tokens(
    folder: str, shown: str, config: dict[str, Any], weights: Weights, own: dict[str, Any]
) -> tuple[int, str]:
    """Return the longest text in tokens, special ones included, and a warning if the folder's own number is too high.

    ``folder`` holds the transformer's files, ``shown`` goes before their names in messages; ``config`` is config.json
    and ``own`` is sentence_bert_config.json. Raises ModelError when a file is damaged.

    In sentence-transformers' order: what its own files say, else the smaller of the tokenizer's limit and
    ``max_position_embeddings``. A table of positions caps the number, where sentence-transformers would fail.
    """
    inner = text_config(config)
    positions = inner.get("max_position_embeddings", inner.get("n_positions"))
    positions = positions if type(positions) is int and positions > 0 else 0
    chosen = _own_limit(own)
    limits = [chosen] if chosen else [n for n in (_tokenizer_limit(folder, shown), positions) if n]
    length = min(limits, default=0) or _UNLIMITED
    table = weights.positions()
    if table is None:
        return length, ""
    rows = table.shape[0]
    if config.get("model_type") in _OFFSET_FAMILIES:
        pad = config.get("pad_token_id", 1)
        rows -= (pad if type(pad) is int else 1) + 1
    note = (
        f"The folder asks for {length:,} tokens a text, but the model has {rows:,} positions." if chosen > rows else ""
    )
    return max(1, min(length, rows)), note


def _own_limit(own: dict[str, Any]) -> int:
    """Return the limit that the folder's sentence-transformers files set, or 0."""
    for values, key in (
        (group(group(own, "processing_kwargs"), "text"), "max_length"),
        (group(own, "processor_kwargs"), "model_max_length"),
        (group(own, "tokenizer_args"), "model_max_length"),
        (own, "max_seq_length"),
    ):
        if type(values.get(key)) is int and 0 < values[key] <= 10**8:
            return values[key]
    return 0


def group(config: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the object under ``key``, empty where it is missing or null."""
    value = config.get(key)
    if value is not None and not isinstance(value, dict):
        raise ModelError(f"The transformer's sentence-transformers file: {key} is not an object. Download it again.")
    return value or {}


def _tokenizer_limit(folder: str, shown: str) -> int:
    """Return the longest input in tokens by tokenizer_config.json, or 0 when it says none that makes sense.

    Tokenizers without a limit write 10 to the power of 30. Raises ModelError when the file is damaged.
    """
    path = os.path.join(folder, "tokenizer_config.json")
    if not os.path.lexists(path):
        return 0
    config = read_object(path, shown + "tokenizer_config.json")
    limit = config.get("model_max_length", config.get("max_len"))
    if isinstance(limit, float) and limit.is_integer():
        limit = int(limit)
    return limit if type(limit) is int and 0 < limit <= 10**8 else 0
