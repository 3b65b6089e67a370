"""Sizes in config.json: which is which, and whether they can be true, before anything is allocated by them."""

from __future__ import annotations

import re
from typing import Any

from engine.errors import ModelError
from engine.models.families import ties_by_default
from engine.models.json_file import non_finite
from engine.models.weights import Weights

_BOUNDS: tuple[tuple[str, int, int], ...] = (
    ("hidden_size d_model n_embd dim embedding_size emb_dim d_embed word_embed_proj_dim", 1, 1 << 17),
    ("intermediate_size d_ff n_inner d_inner hidden_dim ffn_dim encoder_ffn_dim decoder_ffn_dim", 1, 1 << 22),
    ("num_hidden_layers n_layer n_layers num_layers num_decoder_layers encoder_layers decoder_layers", 0, 2048),
    ("num_attention_heads n_head n_heads num_heads num_key_value_heads", 1, 1 << 13),
    ("head_dim d_kv d_head", 1, 1 << 16),
    ("num_experts num_local_experts n_routed_experts", 0, 1 << 16),
    ("vocab_size", 1, 1 << 24),
    ("max_position_embeddings n_positions", -1, 1 << 31),
    ("type_vocab_size", 0, 1 << 16),
)
"""Names in config.json with the smallest and largest number that any real model has, with room for growth."""

_LIMITS = {name: (low, high) for names, low, high in _BOUNDS for name in names.split()}

_LAYERS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")

_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.")


def text_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return the part of config.json that describes the text model: the whole, or ``text_config`` of a composite."""
    inner = config.get("text_config")
    return inner if isinstance(inner, dict) and "hidden_size" not in config else config


def hidden_size(config: dict[str, Any], weights: Weights) -> int:
    """Return the width of the transformer's token vectors, from config.json, else from the embedding's table."""
    inner = text_config(config)
    for name in ("hidden_size", "d_model", "dim", "n_embd", "emb_dim"):
        if type(inner.get(name)) is int:
            return inner[name]
    table = weights.embedding()
    return table.shape[1] if table is not None else 0


def check_sizes(config: dict[str, Any]) -> None:
    """Raise ModelError if config.json holds a number that is not finite, or a size that no model can have."""
    odd = non_finite(config)
    if odd:
        raise ModelError(f"config.json: {odd} is not a finite number. Download the file again.")
    waiting = [("", config, 0)]
    while waiting:
        place, part, depth = waiting.pop()
        for name, value in part.items():
            if isinstance(value, dict) and depth < 3:
                waiting.append((f"{place}{name}.", value, depth + 1))
            elif name in _LIMITS:
                _check_size(f"{place}{name}", value, *_LIMITS[name])


def _check_size(name: str, value: Any, low: int, high: int) -> None:
    for number in value if isinstance(value, list) else [value]:
        if number is None:
            continue
        if type(number) is not int:
            raise ModelError(f"config.json: {name} is {_short(number)}, not a whole number. Download the file again.")
        if not low <= number <= high:
            raise ModelError(
                f"config.json: {name} is {_short(number)}, and no model has that (at least {low:,}, at most {high:,}). "
                "The file is damaged: download it again."
            )


def check_against_weights(config: dict[str, Any], weights: Weights) -> None:
    """Raise ModelError if config.json describes a larger or other model than the weights are.

    transformers would allocate what is missing and fill it with random numbers.
    """
    inner = text_config(config)
    table = weights.embedding()
    if table is not None:
        rows, width = table.shape
        vocabulary = inner.get("vocab_size")
        if type(vocabulary) is int and vocabulary != rows:
            raise ModelError(
                f"config.json says vocab_size {vocabulary:,}, but the weights have vectors for {rows:,} tokens. "
                "The files are not of the same model: download it again."
            )
        # Some families keep token vectors narrower than the rest, under a name of their own.
        if type(inner.get("hidden_size")) is int and width not in _numbers(inner):
            raise ModelError(
                f"config.json says hidden_size {inner['hidden_size']:,}, but the weights' token vectors have {width:,} "
                "numbers. The files are not of the same model: download it again."
            )
    said, found = _layers(inner, weights)
    # Some families run their layers several times over and keep how many there are under a name of their own.
    if found and said > found and found not in _numbers(inner, "layers"):
        raise ModelError(
            f"config.json says {said:,} layers, but the weights have {found:,}. Weights are missing: "
            "download the model again."
        )


def layers_left_out(config: dict[str, Any], weights: Weights) -> str:
    """Return a warning where the weights have more layers than config.json says, empty otherwise.

    Layers that predict further tokens lie behind the others; their number has a name of its own.
    """
    inner = text_config(config)
    said, found = _layers(inner, weights)
    others = _numbers({name: value for name, value in inner.items() if name not in _LAYERS}, "layers")
    if not 0 < said < found or {found, found - said} & others:
        return ""
    return (
        f"The weights have {found:,} layers, but config.json says {said:,}: the others are not used, and the model does not "
        "answer as its makers meant it to."
    )


def _layers(config: dict[str, Any], weights: Weights) -> tuple[int, int]:
    """Return the layers that the config says, and those that the weights have; 0 where that cannot be told."""
    said = next((config[name] for name in _LAYERS if type(config.get(name)) is int), 0)
    found = [int(match[1]) for name in weights.tensors if (match := _LAYER.search(name)) and len(match[1]) < 6]
    return said, max(found, default=-1) + 1


def check_output_layer(config: dict[str, Any], weights: Weights) -> None:
    """Raise ModelError if a text generator has an output layer of its own by config.json, and the weights hold none.

    Such a layer has a row for every token, whatever its family calls it.
    """
    inner = text_config(config)
    ties = inner.get("tie_word_embeddings", config.get("tie_word_embeddings"))
    said = "says tie_word_embeddings false"
    if ties is None:
        ties = ties_by_default(config["model_type"])
        said = f"does not say tie_word_embeddings, which is false in the family {config['model_type']}"
    table = weights.embedding()
    if ties is not False or table is None:
        return
    rows = table.shape[0]
    if sum(len(tensor.shape) == 2 and tensor.shape[0] == rows for tensor in weights.tensors.values()) < 2:
        raise ModelError(
            f"config.json {said}, but the weights have no output layer (lm_head.weight). If the model's maker shares it "
            "with the table of token vectors, set tie_word_embeddings to true in config.json; otherwise weights are "
            "missing: download the model again."
        )


def _numbers(config: dict[str, Any], word: str = "") -> set[int]:
    return {value for name, value in config.items() if type(value) is int and word in name}


def _short(value: Any) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**30 else "a number of over 30 digits"
    return text if len(text) <= 40 else f"{text[:37]}..."
