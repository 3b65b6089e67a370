"""Gemma 2 and the text part of Gemma 3. Their norms compute with 1 + weight, and the files hold 1 + weight."""

from __future__ import annotations

from typing import Any

from engine.models.formats.gguf.architectures.architecture import DECODER, Architecture, Change, head_dim
from engine.models.formats.gguf.parts import Files

_NAMES = DECODER | {
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}

_LARGEST = {"gemma2": 46, "gemma3": 62}
"""Layers of the 27B models, whose queries are scaled by width / heads and not by a head's width; the files do not say
so, and llama.cpp tells them by their layers too (src/llama-model.cpp, LLM_TYPE_27B)."""


def _shared(files: Files, name: str, config: dict[str, Any]) -> dict[str, Any]:
    width = head_dim(files, name, config)
    largest = config["num_hidden_layers"] == _LARGEST[name]
    scale = config["hidden_size"] // config["num_attention_heads"] if largest else width
    return {
        "head_dim": width,
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": scale,
        "sliding_window": files.first.whole(f"{name}.attention.sliding_window", 4096),
        "attention_bias": False,
    }


def _gemma2(files: Files, config: dict[str, Any]) -> dict[str, Any]:
    return _shared(files, "gemma2", config) | {
        "attn_logit_softcapping": float(files.first.number("gemma2.attn_logit_softcapping", 50.0)),
        "final_logit_softcapping": float(files.first.number("gemma2.final_logit_softcapping", 30.0)),
    }


def _gemma3(files: Files, config: dict[str, Any]) -> dict[str, Any]:
    local = float(files.first.number("gemma3.rope.freq_base_swa", 10_000.0))
    softcap = float(files.first.number("gemma3.final_logit_softcapping", 0.0))
    return _shared(files, "gemma3", config) | {
        "final_logit_softcapping": softcap or None,
        "rope_parameters": {
            "full_attention": config["rope_parameters"],
            "sliding_attention": {"rope_type": "default", "rope_theta": local},
        },
    }


def _change(name: str, config: dict[str, Any]) -> Change:
    del config
    return Change(added=1.0 if name.endswith("norm") else 0.0)


GEMMA2 = Architecture("gemma2", "gemma2", "Gemma2ForCausalLM", _NAMES, _gemma2, _change)

GEMMA3 = Architecture(
    "gemma3",
    "gemma3_text",
    "Gemma3ForCausalLM",
    _NAMES | {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"},
    _gemma3,
    _change,
)
