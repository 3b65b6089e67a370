"""Writes GGUF files for tests: any header, and tiny transformers models as llama.cpp's converter writes them.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md and llama.cpp's conversion/ (permute, norm + 1).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

F32, F16, Q4_1, Q8_0, BF16 = 0, 1, 3, 8, 30


@dataclass(frozen=True)
class Typed:
    """A value with its kind of the format, where Python's type does not say enough."""

    kind: int
    value: Any


@dataclass(frozen=True)
class Stored:
    """A tensor: its type's number, its shape in torch's order, its bytes."""

    number: int
    shape: tuple[int, ...]
    data: bytes


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def packed(value: Any) -> bytes:
    """A value as metadata hold it: its kind, then itself."""
    if isinstance(value, Typed):
        return struct.pack("<I", value.kind) + value.value
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + text(value)
    inner = packed(value[0])[:4]
    body = b"".join(packed(each)[4:] for each in value)
    return struct.pack("<I", 9) + inner + struct.pack("<Q", len(value)) + body


def header(values: dict[str, Any], tensors: dict[str, Stored], *, version: int = 3) -> bytes:
    """Everything before the data, padded."""
    parts = [b"GGUF", struct.pack("<IQQ", version, len(tensors), len(values))]
    parts += [text(key) + packed(value) for key, value in values.items()]
    place = 0
    for name, tensor in tensors.items():
        shape = tuple(reversed(tensor.shape))
        parts.append(text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, tensor.number, place))
        place += -(-len(tensor.data) // 32) * 32
    data = b"".join(parts)
    return data + bytes(-len(data) % 32)


def write(path: Path, values: dict[str, Any], tensors: dict[str, Stored]) -> Path:
    """Write a file and return its path."""
    with open(path, "wb") as file:
        file.write(header(values, tensors))
        file.writelines(tensor.data + bytes(-len(tensor.data) % 32) for tensor in tensors.values())
    return path


def stored(array: np.ndarray, number: int = F32) -> Stored:
    """Store an array; Q8_0 and Q4_1 round as ggml's reference quantiser does, near enough."""
    array = np.ascontiguousarray(array, np.float32)
    if number == F32:
        data = array.tobytes()
    elif number == F16:
        data = array.astype(np.float16).tobytes()
    elif number == BF16:
        data = (array.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    elif number == Q8_0:
        blocks = array.reshape(-1, 32)
        scale = (np.abs(blocks).max(1, keepdims=True) / 127).astype(np.float16)
        whole = np.rint(blocks / np.maximum(scale.astype(np.float32), 1e-8)).clip(-127, 127).astype(np.int8)
        data = np.concatenate((scale.view(np.uint8), whole.view(np.uint8)), 1).tobytes()
    else:
        blocks = array.reshape(-1, 32)
        least = blocks.min(1, keepdims=True).astype(np.float16)
        scale = ((blocks.max(1, keepdims=True) - least) / 15).astype(np.float16)
        whole = ((blocks - least) / np.maximum(scale.astype(np.float32), 1e-8)).round().clip(0, 15).astype(np.uint8)
        data = np.concatenate(
            (scale.view(np.uint8), least.view(np.uint8), whole[:, :16] | whole[:, 16:] << 4), 1
        ).tobytes()
    return Stored(number, array.shape, data)


def byte_tokens() -> list[str]:
    """The 256 bytes as byte-level vocabularies spell them, by their number."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return [chr(n) if n in plain else chr(next(spare)) for n in range(256)]


TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] + '\\n' + m['content'] }}<|im_end|>{{ '\\n' }}{% endfor %}"
    "<|im_start|>assistant{{ '\\n' }}"
)
MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["t h", "th e", "Ġ the", "i n", "e r", "Ġ a", "o n"]
VOCABULARY = 320
"""Rows of the tables of the models here: marks, bytes, merged tokens, and some that the converter filled up with."""


def vocabulary() -> dict[str, Any]:
    """A byte-level tokenizer's tables."""
    tokens = MARKS + byte_tokens() + [merge.replace(" ", "") for merge in MERGES]
    types = [3] * len(MARKS) + [1] * (len(tokens) - len(MARKS))
    while len(tokens) < VOCABULARY:
        tokens.append(f"[PAD{len(tokens)}]")
        types.append(5)
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [Typed(5, struct.pack("<i", n)) for n in types],
        "tokenizer.ggml.merges": MERGES,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": TEMPLATE,
    }


SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}
_WINDOW = 12
_YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 128}
_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 5e5,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}

FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("llama", "llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 1e5}}),
    "llama tied": ("llama", "llama", {"tie_word_embeddings": True}),
    "llama biased": ("llama", "llama", {"attention_bias": True, "head_dim": 32}),
    "llama 3": ("llama", "llama", {"head_dim": 64, "rope_parameters": _LLAMA3}),
    "mistral": ("llama", "mistral", {"head_dim": 32, "sliding_window": None}),
    "qwen2": ("qwen2", "qwen2", {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}),
    "qwen2 yarn": ("qwen2", "qwen2", {"rope_parameters": _YARN}),
    "qwen3": ("qwen3", "qwen3", {"head_dim": 32, "tie_word_embeddings": True}),
    "gemma2": (
        "gemma2",
        "gemma2",
        {
            "head_dim": 32,
            "sliding_window": _WINDOW,
            "query_pre_attn_scalar": 32,
            "attn_logit_softcapping": 20.0,
            "final_logit_softcapping": 15.0,
            "tie_word_embeddings": True,
        },
    ),
    "gemma3": (
        "gemma3",
        "gemma3_text",
        {
            "num_hidden_layers": 6,
            "head_dim": 32,
            "sliding_window": _WINDOW,
            "query_pre_attn_scalar": 32,
            "tie_word_embeddings": True,
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            },
        },
    ),
    "phi3": ("phi3", "phi3", {"sliding_window": _WINDOW}),
}
"""By a name for tests: general.architecture, transformers' model type, and what its config has beside ``SIZES``."""

_NAMES = (
    ("model.embed_tokens", "token_embd"),
    ("model.norm", "output_norm"),
    ("lm_head", "output"),
    ("model.layers.", "blk."),
    ("self_attn.qkv_proj", "attn_qkv"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("mlp.gate_up_proj", "ffn_up"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("input_layernorm", "attn_norm"),
    ("pre_feedforward_layernorm", "ffn_norm"),
    ("post_feedforward_layernorm", "post_ffw_norm"),
)


def tiny_model(name: str, seed: int = 0) -> Any:
    """A tiny float32 model of one of ``FAMILIES``, with weights that make attention and positions matter."""
    import decoder_models
    import torch
    import transformers

    _, model_type, options = FAMILIES[name]
    config = transformers.AutoConfig.for_model(model_type, **{**SIZES, **options})
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval().requires_grad_(False)
    decoder_models.shake(model, seed)
    return model


def metadata(model: Any, architecture: str) -> dict[str, Any]:
    """What the converter writes of a model's config, and a tokenizer's tables."""
    config, a = model.config, architecture
    values: dict[str, Any] = {
        "general.architecture": a,
        "general.license": "apache-2.0",
        f"{a}.block_count": config.num_hidden_layers,
        f"{a}.context_length": config.max_position_embeddings,
        f"{a}.embedding_length": config.hidden_size,
        f"{a}.feed_forward_length": config.intermediate_size,
        f"{a}.attention.head_count": config.num_attention_heads,
        f"{a}.attention.head_count_kv": config.num_key_value_heads,
        f"{a}.attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
    }
    rope = config.rope_parameters
    rope = rope.get("full_attention", rope)
    values[f"{a}.rope.freq_base"] = float(rope["rope_theta"])
    if rope["rope_type"] in ("linear", "yarn"):
        values |= {f"{a}.rope.scaling.type": rope["rope_type"], f"{a}.rope.scaling.factor": float(rope["factor"])}
    if rope["rope_type"] == "yarn":
        values[f"{a}.rope.scaling.original_context_length"] = rope["original_max_position_embeddings"]
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    if width * config.num_attention_heads != config.hidden_size:
        values |= {f"{a}.attention.key_length": width, f"{a}.attention.value_length": width}
    if a in ("llama", "phi3"):
        values[f"{a}.rope.dimension_count"] = width
    if getattr(config, "sliding_window", None):
        values[f"{a}.attention.sliding_window"] = config.sliding_window
    for cap in ("attn_logit_softcapping", "final_logit_softcapping"):
        if getattr(config, cap, None):
            values[f"{a}.{cap}"] = float(getattr(config, cap))
    return values | vocabulary()


def tensors(model: Any, architecture: str, numbers: int = F32) -> dict[str, Stored]:
    """The weights as the converter writes them; matrices in the block type ``numbers``, all else in float32."""
    config = model.config
    result: dict[str, Stored] = {}
    tied = config.tie_word_embeddings
    for name, weight in model.state_dict().items():
        if tied and name.startswith("lm_head"):
            continue
        array = weight.numpy()
        gemma = architecture.startswith("gemma")
        if architecture == "llama":
            for part, heads in (("q_proj", config.num_attention_heads), ("k_proj", config.num_key_value_heads)):
                if part in name:
                    halves = array.reshape(heads, 2, array.shape[0] // heads // 2, *array.shape[1:])
                    array = halves.swapaxes(1, 2).reshape(array.shape)
        for theirs, ours in (("post_attention_layernorm", "post_attention_norm" if gemma else "ffn_norm"), *_NAMES):
            name = name.replace(theirs, ours)
        if gemma and name.endswith("norm.weight"):
            array = array + 1
        result[name] = stored(array, numbers if array.ndim > 1 else F32)
    rope = config.rope_parameters
    if rope.get("rope_type") == "llama3":
        plain = 1 / rope["rope_theta"] ** (np.arange(0, config.head_dim, 2) / config.head_dim)
        result["rope_freqs.weight"] = stored(plain / model.model.rotary_emb.inv_freq.numpy())
    return result


def model_file(path: Path, name: str, numbers: int = F32, seed: int = 0) -> Any:
    """Write a tiny model of one of ``FAMILIES`` to ``path`` and return it as transformers has it."""
    model = tiny_model(name, seed)
    architecture = FAMILIES[name][0]
    write(path, metadata(model, architecture), tensors(model, architecture, numbers))
    return model


def split_file(folder: Path, name: str, parts: int) -> list[Path]:
    """Write a tiny model as a numbered set of files, as llama-gguf-split does, and return their paths."""
    model = tiny_model(name)
    architecture = FAMILIES[name][0]
    values, weights = metadata(model, architecture), list(tensors(model, architecture).items())
    paths: list[Path] = []
    for n in range(parts):
        share = dict(weights[n * len(weights) // parts : (n + 1) * len(weights) // parts])
        split = {"split.no": n, "split.count": parts, "split.tensors.count": len(weights)}
        path = folder / f"tiny-{n + 1:05}-of-{parts:05}.gguf"
        paths.append(write(path, {**values, **split} if n == 0 else split, share))
    return paths
