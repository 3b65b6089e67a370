"""A tiny float32 twin of a model: same family, same attention, small windows, random weights.

Two short prompts on the real model cannot reach a window of 4,096 tokens, and bfloat16 leaves little room between right
and wrong. A twin of the same config class reaches every window within the check and is right to 1e-6.
"""

from __future__ import annotations

import copy
import logging
from typing import Any

import torch

log = logging.getLogger(__name__)

WINDOW = 16
VOCABULARY = 256
HIDDEN = 64
FEED_FORWARD = 64

_FEED_FORWARDS = (
    "intermediate_size",
    "ffn_dim",
    "n_inner",
    "moe_intermediate_size",
    "shared_expert_intermediate_size",
    "expert_intermediate_size",
    "block_ff_dim",
    "ffn_hidden_size",
)
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
_SPECIAL = ("bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "cls_token_id", "mask_token_id")


def make_twin(model: Any) -> Any | None:
    """Return a tiny float32 model on the CPU like ``model``, in evaluation mode; None where the family cannot shrink."""
    config = model.config
    if config.get_text_config(decoder=True) is not config:
        return None
    try:
        small = type(config).from_dict(_shrunk(config))
        small._attn_implementation = "eager"  # noqa: SLF001 - transformers has no public name for it
        with torch.device("cpu"):
            twin = type(model)(small).to(torch.float32).eval().requires_grad_(False)
        _randomise(twin)
        with torch.inference_mode():
            logits = twin(input_ids=torch.arange(5)[None], use_cache=False).logits
    except Exception as error:  # noqa: BLE001 - any family may refuse the sizes in its own way; the real model is checked
        log.info("no tiny twin of %s: %s: %s", type(model).__name__, type(error).__name__, error)
        return None
    if not bool(torch.isfinite(logits).all()) or float(logits.std()) < 1e-6:
        log.info("the tiny twin of %s has no useful logits", type(model).__name__)
        return None
    return twin


def _shrunk(config: Any) -> dict[str, Any]:
    values: dict[str, Any] = copy.deepcopy(config.to_dict())
    names: dict[str, str] = getattr(config, "attribute_map", {})

    def name(general: str) -> str:
        return names.get(general, general)

    def cut(key: str, most: int) -> None:
        value = values.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value > most:
            values[key] = most
        elif isinstance(value, list) and value and all(isinstance(v, int) for v in value):
            values[key] = [min(v, most) for v in value]

    _cut_layers(values, name("num_hidden_layers"))
    heads, groups, width = name("num_attention_heads"), name("num_key_value_heads"), name("hidden_size")
    per_head = values[width] // values[heads]
    kv = values.get(groups)
    if isinstance(kv, int) and kv >= 1 and values[heads] % kv == 0:
        ratio = values[heads] // kv
        values[groups] = min(kv, 2)
        values[heads] = ratio * values[groups]
    else:
        values[heads] = min(values[heads], 4)
    if isinstance(values.get("head_dim"), int):
        per_head = -(-HIDDEN // values[heads])  # the width is anyone's to choose, but some configs want it to divide
    values[width] = per_head * values[heads]
    for key in _FEED_FORWARDS:
        cut(key, FEED_FORWARD)
    for key in _EXPERTS:
        cut(name(key), 8)
    for key in ("num_experts_per_tok", "moe_k", "moe_topk"):
        cut(key, 2)
    for key in ("sliding_window", "attention_chunk_size"):
        cut(key, WINDOW)
    for key in ("q_lora_rank", "kv_lora_rank"):
        cut(key, 32)
    for key in ("vocab_size", "vocab_size_per_layer_input"):
        cut(key, VOCABULARY)
    for key in _SPECIAL:
        if key in values:
            values[key] = None
    for key in ("quantization_config", "dtype", "torch_dtype"):
        values.pop(key, None)
    return values


def _cut_layers(values: dict[str, Any], name: str) -> None:
    """Keep as many of the first layers as show every kind of layer, and twice that where layers share their KV."""
    count = values[name]
    kinds = values.get("layer_types")
    keep = 2
    if isinstance(kinds, list):
        keep = next(n for n in range(1, count + 1) if set(kinds[:n]) == set(kinds))
    keep = max(2, keep)
    if values.get("num_kv_shared_layers"):
        values["num_kv_shared_layers"] = keep
        keep *= 2
    keep = min(keep, count)
    for key, value in values.items():
        if isinstance(value, list) and len(value) == count:
            values[key] = value[:keep]
    values[name] = keep


def _randomise(model: torch.nn.Module) -> None:
    """Fill the weights with numbers so large that attention is neither uniform nor one-hot."""
    generator = torch.Generator().manual_seed(7)
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    with torch.no_grad():
        for weight in model.parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim < 2:
                weight.add_(noise * 0.2)
            else:
                weight.copy_(noise * (0.6 if id(weight) in embeddings else 1.4 * weight.shape[-1] ** -0.5))
