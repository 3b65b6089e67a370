"""Llama and its relatives under the same name: SmolLM2, Llama 3, Mistral (whose converters write llama too)."""

from __future__ import annotations

import math
from typing import Any

from engine.errors import ModelError
from engine.models.formats.gguf.architectures.architecture import DECODER, Architecture, Change, head_dim
from engine.models.formats.gguf.parts import Files
from engine.models.formats.gguf.values import small_floats

NAME = "llama"
FACTORS = "rope_freqs.weight"


def _config(files: Files, config: dict[str, Any]) -> dict[str, Any]:
    width = files.first.whole(f"{NAME}.rope.dimension_count", 0)
    found: dict[str, Any] = {"head_dim": head_dim(files, NAME, config), "hidden_act": "silu"}
    if width not in (0, found["head_dim"]):
        raise ModelError(f"{files.first.shown} turns only a part of each head ({width}), which is no Llama's.")
    found["attention_bias"] = "blk.0.attn_q.bias" in files.tensors
    found["mlp_bias"] = "blk.0.ffn_up.bias" in files.tensors
    if FACTORS in files.tensors:
        found["rope_parameters"] = _llama3(files, config["rope_parameters"], found["head_dim"])
    return found


def _llama3(files: Files, plain: dict[str, Any], width: int) -> dict[str, Any]:
    """Return the parameters that gave the factors of the file, each frequency's divisor.

    The converter writes the factors and leaves out their parameters, so those that Llama 3 comes with are tried. Formula:
    transformers' modeling_rope_utils._compute_llama3_parameters.
    """
    factors = small_floats(files, FACTORS)
    factor, low, high, original = max(factors, default=1.0), 1.0, 4.0, 8192
    theta = plain["rope_theta"]
    made = []
    for i in range(width // 2):
        length = 2 * math.pi * theta ** (2 * i / width)
        smooth = min(1.0, max(0.0, (original / length - low) / (high - low)))
        made.append(1 / ((1 - smooth) / factor + smooth))
    if len(made) != len(factors) or any(abs(a - b) > 1e-3 * b for a, b in zip(made, factors, strict=True)):
        raise ModelError(
            f"{files.first.shown} stretches its positions by factors that are not Llama 3's ({FACTORS}). "
            "Download the model's folder with safetensors."
        )
    return {
        "rope_type": "llama3",
        "rope_theta": theta,
        "factor": factor,
        "low_freq_factor": low,
        "high_freq_factor": high,
        "original_max_position_embeddings": original,
    }


def _change(name: str, config: dict[str, Any]) -> Change:
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    return Change(heads=heads.get(name, 0))


LLAMA = Architecture(NAME, "llama", "LlamaForCausalLM", DECODER, _config, _change, frozenset((FACTORS,)))
