"""What a text generator keeps of every token, by config.json alone: arithmetic, nothing is loaded."""

from __future__ import annotations

from typing import Any

from engine.models.sizes import text_config


def kv_numbers(config: dict[str, Any]) -> int:
    """Return the numbers that all layers' keys and values hold of one token; 0 where the config does not say enough.

    layers x key-value heads x head dimension x 2. Layers that keep a window or a state instead are counted like the
    rest where they cannot be told apart: an estimate from above.
    """
    inner = text_config(config)
    layers = _first(inner, "num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_decoder_layers")
    heads = _first(inner, "num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads")
    width = _first(inner, "hidden_size", "n_embd", "d_model", "dim")
    if not layers or not heads:
        return 0
    groups = _first(inner, "num_key_value_heads", "num_kv_heads") or heads
    if inner.get("multi_query") is True:
        groups = 1
    if latent := _first(inner, "kv_lora_rank"):
        # Multi-head latent attention, as transformers runs it: keys and values are kept spread out over all heads.
        key = _first(inner, "qk_nope_head_dim") + _first(inner, "qk_rope_head_dim")
        value = _first(inner, "v_head_dim") or key
        return layers * heads * (key + value) if key else layers * 2 * latent
    size = _first(inner, "head_dim", "d_kv") or width // heads
    kinds = inner.get("layer_types")
    if isinstance(kinds, list) and kinds:
        attends = [kind for kind in kinds if isinstance(kind, str) and "attention" in kind and "linear" not in kind]
        layers = min(layers, len(attends)) or layers
    return layers * groups * size * 2


def table_numbers(config: dict[str, Any]) -> int:
    """Return the numbers in the table of token vectors; 0 where the config does not say."""
    inner = text_config(config)
    return _first(inner, "vocab_size") * _first(inner, "hidden_size", "n_embd", "d_model", "dim")


def _first(config: dict[str, Any], *names: str) -> int:
    return next((config[name] for name in names if type(config.get(name)) is int and config[name] > 0), 0)
