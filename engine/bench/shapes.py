"""Model folders with random weights in the shape of real models: shards, config.json, one word a token.

Speed does not depend on what the weights are, so nothing has to be downloaded to measure it.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.bench.work import vocabulary_of
from engine.errors import UsageError

if TYPE_CHECKING:
    import torch


_KINDS = {"llama": ("LlamaForCausalLM", False), "qwen2": ("Qwen2ForCausalLM", True)}
"""The class of each kind of model, and whether its attention adds biases."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a decoder with tied embeddings, in the words of its config.json; ``shards`` files of weights."""

    kind: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    mlp: int
    vocabulary: int
    positions: int
    shards: int = 2

    @property
    def head_dim(self) -> int:
        """Return the numbers of one head."""
        return self.hidden // self.heads

    @property
    def layer_weights(self) -> int:
        """Return the weights that a prompt token meets: the matrices of all layers, not the vocabulary's."""
        attention = 2 * self.hidden * (self.heads + self.kv_heads) * self.head_dim
        return self.layers * (attention + 3 * self.hidden * self.mlp)

    @property
    def weights(self) -> int:
        """Return the weights that a new token meets: those of the layers and the vocabulary."""
        return self.layer_weights + self.vocabulary * self.hidden

    @property
    def kv_bytes(self) -> int:
        """Return the bytes of one token's keys and values in a 16-bit format."""
        return self.layers * 2 * self.kv_heads * self.head_dim * 2

    def config(self) -> dict[str, Any]:
        """Return config.json; nothing ends a text, so that every answer has the length that was asked for."""
        return {
            "architectures": [_KINDS[self.kind][0]],
            "model_type": self.kind,
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "intermediate_size": self.mlp,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": self.positions,
            "hidden_act": "silu",
            "initializer_range": 0.02,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1e5,
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
            "use_cache": True,
            "bos_token_id": None,
            "eos_token_id": None,
            "pad_token_id": None,
        }

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name every tensor with its shape; one dimension stands for a norm or a bias."""
        wide, narrow = self.heads * self.head_dim, self.kv_heads * self.head_dim
        yield "model.embed_tokens.weight", (self.vocabulary, self.hidden)
        for layer in range(self.layers):
            name = f"model.layers.{layer}"
            for part, rows in (("q", wide), ("k", narrow), ("v", narrow)):
                yield f"{name}.self_attn.{part}_proj.weight", (rows, self.hidden)
                if _KINDS[self.kind][1]:
                    yield f"{name}.self_attn.{part}_proj.bias", (rows,)
            yield f"{name}.self_attn.o_proj.weight", (self.hidden, wide)
            yield f"{name}.mlp.gate_proj.weight", (self.mlp, self.hidden)
            yield f"{name}.mlp.up_proj.weight", (self.mlp, self.hidden)
            yield f"{name}.mlp.down_proj.weight", (self.hidden, self.mlp)
            yield f"{name}.input_layernorm.weight", (self.hidden,)
            yield f"{name}.post_attention_layernorm.weight", (self.hidden,)
        yield "model.norm.weight", (self.hidden,)


SHAPES = {
    "135m": Shape("llama", 576, 30, 9, 3, 1536, 49_152, 8192),
    "0.5b": Shape("qwen2", 896, 24, 14, 2, 4864, 151_936, 32_768),
    "1.5b": Shape("qwen2", 1536, 28, 12, 2, 8960, 151_936, 32_768, shards=3),
    "tiny": Shape("llama", 64, 2, 4, 2, 96, 4096, 8192),
}
"""The shapes of BENCH.md, the one that memory is measured on, and one for tests."""


def write_folder(shape: Shape, folder: str, *, seed: int = 0) -> None:
    """Write a model folder: bfloat16 weights in ``shape.shards`` safetensors files, config.json and a tokenizer.

    The tokenizer is that of ``work.vocabulary_of``: a text of n of its words has exactly n tokens. Raises OSError when
    the disk is full.
    """
    import torch

    os.makedirs(folder, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    sizes = list(shape.tensors())
    total = sum(math.prod(size) for _, size in sizes)
    table: dict[str, str] = {}
    shard: dict[str, torch.Tensor] = {}
    written = held = 0

    def flush() -> None:
        nonlocal written
        written += 1
        name = f"model-{written:05d}-of-{shape.shards:05d}.safetensors"
        _save(shard, os.path.join(folder, name))
        table.update(dict.fromkeys(shard, name))
        shard.clear()

    for name, size in sizes:
        if len(size) > 1:
            shard[name] = (torch.randn(size, generator=generator) * 0.02).to(torch.bfloat16)
        else:
            shard[name] = torch.full(size, 0.0 if name.endswith("bias") else 1.0, dtype=torch.bfloat16)
        held += math.prod(size)
        if written < shape.shards - 1 and held >= total * (written + 1) / shape.shards:
            flush()
    flush()
    index = {"metadata": {"total_size": 2 * total}, "weight_map": table}
    for file, value in (
        ("model.safetensors.index.json", index),
        ("config.json", shape.config()),
        ("generation_config.json", {"eos_token_id": None, "pad_token_id": None, "do_sample": False}),
    ):
        with open(os.path.join(folder, file), "w", encoding="utf-8") as out:
            json.dump(value, out)
    _save_tokenizer(folder, shape.vocabulary)


def _save(shard: dict[str, torch.Tensor], path: str) -> None:
    from safetensors.torch import save_file

    save_file(shard, path, metadata={"format": "pt"})


def _save_tokenizer(folder: str, vocabulary: int) -> None:
    words, merges = vocabulary_of(vocabulary)
    end = {"id": 0, "content": words[0], "special": True}
    end |= dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [end],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": {word: n for n, word in enumerate(words)}, "merges": merges},
    }
    for name, value in (
        ("tokenizer.json", tokenizer),
        ("tokenizer_config.json", {"tokenizer_class": "Qwen2Tokenizer"}),
    ):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
            json.dump(value, out)


def cached_folder(name: str) -> str:
    """Return a folder with the shape ``name``, written once and kept among the system's temporary files.

    Raises UsageError for an unknown name or a disk without room.
    """
    shape = SHAPES.get(name)
    if shape is None:
        raise UsageError(f"There is no shape {name!r}; there is {', '.join(SHAPES)}.")
    user = os.getuid() if hasattr(os, "getuid") else 0
    root = os.path.join(tempfile.gettempdir(), f"heddle-bench-{user}")
    target = os.path.join(root, f"{name}-2")
    if os.path.isfile(os.path.join(target, "config.json")):
        return target
    os.makedirs(root, mode=0o700, exist_ok=True)
    fresh = tempfile.mkdtemp(dir=root)
    try:
        write_folder(shape, fresh)
        os.rename(fresh, target)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        if not os.path.isfile(os.path.join(target, "config.json")):
            raise UsageError(f"The weights of {name} cannot be written to {root}: {error}") from error
    return target
