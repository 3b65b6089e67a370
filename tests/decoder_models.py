"""Tiny decoder models with random weights, in memory and as folders: one recipe per family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

VOCABULARY = 199
"""Tokens of every model here; small, and no multiple of anything."""

BASE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}
FOUR = {**BASE, "num_hidden_layers": 4}
MOE = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
ALTERNATING = ["sliding_attention", "full_attention"]
WINDOW = 11
"""Tokens of the sliding windows: shorter than most prompts."""

GPT2 = {
    "vocab_size": VOCABULARY,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 512,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}

RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", BASE),
    "qwen2": ("qwen2", {**FOUR, "use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 2}),
    "qwen3": ("qwen3", {**BASE, "head_dim": 16}),
    "mistral": ("mistral", {**BASE, "sliding_window": WINDOW}),
    "gemma2": (
        "gemma2",
        {
            **BASE,
            "head_dim": 16,
            "sliding_window": WINDOW,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 5.0,
            "query_pre_attn_scalar": 12,
        },
    ),
    "gemma3_text": ("gemma3_text", {**FOUR, "head_dim": 16, "sliding_window": WINDOW, "layer_types": ALTERNATING * 2}),
    "phi3": ("phi3", {**BASE, "sliding_window": WINDOW}),
    "phi3_longrope": (
        "phi3",
        {
            **BASE,
            "max_position_embeddings": 200,
            "original_max_position_embeddings": 100,
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 10000.0,
                "short_factor": [1.0, 1.1, 1.3, 1.6],
                "long_factor": [1.0, 2.0, 5.0, 9.0],
                "original_max_position_embeddings": 100,
            },
        },
    ),
    "gpt2": ("gpt2", GPT2),
    "gpt_neox": ("gpt_neox", BASE),
    "opt": ("opt", {**BASE, "ffn_dim": 48, "word_embed_proj_dim": 24}),
    "olmo2": ("olmo2", BASE),
    "granite": (
        "granite",
        {**BASE, "logits_scaling": 3.0, "attention_multiplier": 0.3, "embedding_multiplier": 2.0},
    ),
    "starcoder2": ("starcoder2", {**BASE, "sliding_window": WINDOW}),
    "smollm3": (
        "smollm3",
        {**FOUR, "use_sliding_window": True, "sliding_window": WINDOW, "layer_types": ALTERNATING * 2},
    ),
    "cohere": ("cohere", {**BASE, "logit_scale": 0.5}),
    "qwen3_moe": ("qwen3_moe", {**BASE, **MOE, "head_dim": 16, "use_sliding_window": True, "sliding_window": WINDOW}),
    "mixtral": ("mixtral", {**BASE, **MOE, "sliding_window": WINDOW}),
    "gpt_oss": (
        "gpt_oss",
        {**BASE, **MOE, "head_dim": 16, "sliding_window": WINDOW, "layer_types": ALTERNATING},
    ),
    "gemma3n_text": (
        "gemma3n_text",
        {
            **FOUR,
            "head_dim": 16,
            "sliding_window": WINDOW,
            "layer_types": ALTERNATING * 2,
            "intermediate_size": [48] * 4,
            "num_kv_shared_layers": 2,
            "vocab_size_per_layer_input": VOCABULARY,
            "hidden_size_per_layer_input": 8,
            "laurel_rank": 8,
            "altup_num_inputs": 2,
            "activation_sparsity_pattern": [0.5, 0.0, 0.0, 0.0],
        },
    ),
    "deepseek_v2": (
        "deepseek_v2",
        {
            **BASE,
            "num_key_value_heads": 4,
            "q_lora_rank": None,
            "kv_lora_rank": 16,
            "qk_nope_head_dim": 16,
            "qk_rope_head_dim": 8,
            "v_head_dim": 12,
            "n_routed_experts": 4,
            "n_shared_experts": 1,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 16,
            "first_k_dense_replace": 1,
            "n_group": 1,
            "topk_group": 1,
            "topk_method": "greedy",
        },
    ),
    "nemotron": ("nemotron", {**BASE, "head_dim": 8}),
    "lfm2": (
        "lfm2",
        {**FOUR, "conv_L_cache": 3, "layer_types": ["conv", "full_attention"] * 2, "block_multiple_of": 8},
    ),
    "gpt_bigcode": ("gpt_bigcode", {**GPT2, "n_inner": 48}),
    "hrm_text": ("hrm_text", {**BASE, "head_dim": 8}),
    "llama_dynamic": (
        "llama",
        {
            **BASE,
            "max_position_embeddings": 40,
            "rope_parameters": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 1e4},
        },
    ),
    "llama4_text": (
        "llama4_text",
        {**FOUR, **MOE, "intermediate_size_mlp": 48, "head_dim": 16, "attention_chunk_size": 16},
    ),
    "bloom": ("bloom", {**BASE, "n_layer": 2, "n_head": 4}),
    "falcon": ("falcon", {**BASE, "alibi": True, "new_decoder_architecture": False}),
    "mamba": ("mamba", {**BASE, "state_size": 4, "time_step_rank": 4}),
    "falcon_mamba": ("falcon_mamba", {**BASE, "state_size": 4, "time_step_rank": 4}),
    "rwkv": ("rwkv", {**BASE, "context_length": 512, "attention_hidden_size": 32}),
    "qwen3_5": (
        "qwen3_5_text",
        {
            **FOUR,
            "head_dim": 16,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "layer_types": ["linear_attention", "full_attention"] * 2,
        },
    ),
    "t5": (
        "t5",
        {
            **BASE,
            "d_model": 32,
            "d_kv": 8,
            "d_ff": 48,
            "num_layers": 2,
            "num_decoder_layers": 2,
            "num_heads": 4,
            "decoder_start_token_id": 0,
        },
    ),
    "bart": ("bart", {}),
    "marian": ("marian", {}),
}

_ENCODER_DECODER = {
    "vocab_size": VOCABULARY,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
    "eos_token_id": None,
    "forced_eos_token_id": None,
    "decoder_start_token_id": 2,
}


def shake(model: Any, seed: int) -> None:
    """Fill every weight with random numbers large enough that attention and argmax are not degenerate."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim < 2:
                if "norm" in name or "ln_" in name or "scale" in name:
                    weight.add_(0.2 * noise)
                elif "A_log" not in name and name.rsplit(".", 1)[-1] != "D":
                    weight.copy_(0.3 * noise)
            elif "A_log" not in name:
                fan = weight[0].numel() if weight.ndim != 3 or "conv" in name else weight.shape[-2]
                embedding = "embed" in name or "wte" in name or "wpe" in name or name.endswith("shared.weight")
                weight.copy_(noise * (0.6 if embedding else 1.4 * fan**-0.5))


def make(family: str, seed: int = 0, **overrides: Any) -> Any:
    """Return a tiny float32 model of ``family``, the same for the same seed, in evaluation mode."""
    import torch
    import transformers

    kind, options = RECIPES[family]
    options = {**options, **(_ENCODER_DECODER if kind in ("bart", "marian") else {}), **overrides}
    config = transformers.AutoConfig.for_model(kind, **options)
    maker = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    torch.manual_seed(seed)
    model = maker.from_config(config, dtype=torch.float32).eval().requires_grad_(False)
    shake(model, seed)
    ends = options["eos_token_id"]
    model.generation_config.eos_token_id = ends
    model.generation_config.pad_token_id = 0
    return model


def folder(family: str, path: Path, seed: int = 0, **overrides: Any) -> Path:
    """Write a tiny model of ``family`` and a tokenizer with a word for each token into ``path``, and return it."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    make(family, seed, **overrides).save_pretrained(path)
    tokenizer = Tokenizer(WordLevel({f"w{n}": n for n in range(VOCABULARY)}, unk_token="w1"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="w1", pad_token="w0").save_pretrained(path)
    return path
