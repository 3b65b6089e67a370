"""Qwen 2, 2.5 and 3, dense."""

from __future__ import annotations

from typing import Any

from engine.errors import ModelError
from engine.models.formats.gguf.architectures.architecture import DECODER, Architecture, head_dim
from engine.models.formats.gguf.parts import Files


def _qwen2(files: Files, config: dict[str, Any]) -> dict[str, Any]:
    if head_dim(files, "qwen2", config) * config["num_attention_heads"] != config["hidden_size"]:
        raise ModelError(f"{files.first.shown} has heads of a width that Qwen 2 does not have. Download it again.")
    return {"hidden_act": "silu", "use_sliding_window": False}


def _qwen3(files: Files, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "hidden_act": "silu",
        "use_sliding_window": False,
        "head_dim": head_dim(files, "qwen3", config),
        "attention_bias": "blk.0.attn_q.bias" in files.tensors,
    }


QWEN2 = Architecture("qwen2", "qwen2", "Qwen2ForCausalLM", DECODER, _qwen2)

QWEN3 = Architecture(
    "qwen3",
    "qwen3",
    "Qwen3ForCausalLM",
    DECODER | {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"},
    _qwen3,
)
