"""Phi 3, 3.5 and 4 mini: query, key and value in one tensor, gate and up in another, as transformers has them."""

from __future__ import annotations

from typing import Any

from engine.models.formats.gguf.architectures.architecture import DECODER, Architecture, head_dim
from engine.models.formats.gguf.parts import Files
from engine.models.formats.gguf.values import small_floats

_LONG, _SHORT = "rope_factors_long.weight", "rope_factors_short.weight"

_NAMES = {name: ours for name, ours in DECODER.items() if name not in ("attn_q", "attn_k", "attn_v", "ffn_gate")} | {
    "attn_qkv": "self_attn.qkv_proj",
    "ffn_up": "mlp.gate_up_proj",
}


def _config(files: Files, config: dict[str, Any]) -> dict[str, Any]:
    header, width = files.first, head_dim(files, "phi3", config)
    turned = header.whole("phi3.rope.dimension_count", width)
    window = header.whole("phi3.attention.sliding_window", 0)
    original = header.whole("phi3.rope.scaling.original_context_length", config["max_position_embeddings"])
    rope = config["rope_parameters"] | {"partial_rotary_factor": turned / width}
    if _LONG in files.tensors and _SHORT in files.tensors and original < config["max_position_embeddings"]:
        rope |= {
            "rope_type": "longrope",
            "long_factor": small_floats(files, _LONG),
            "short_factor": small_floats(files, _SHORT),
            "original_max_position_embeddings": original,
        }
    return {
        "hidden_act": "silu",
        "sliding_window": window if 0 < window < config["max_position_embeddings"] else None,
        "original_max_position_embeddings": original,
        "rope_parameters": rope,
    }


PHI3 = Architecture("phi3", "phi3", "Phi3ForCausalLM", _NAMES, _config, read=frozenset((_LONG, _SHORT)))
