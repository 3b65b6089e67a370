"""GGUF files with random weights in the shape of large models, written in seconds: memory does not depend on the numbers."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gguf_files
import numpy as np

from engine.bench.work import vocabulary_of
from engine.models.formats.gguf.block_types import BLOCK_TYPES

NUMBERS = {kind.name: number for number, kind in BLOCK_TYPES.items()}
SCALES = {"Q4_0": (0.0043,), "Q8_0": (0.00027,), "Q4_K": (0.00013, 0.001), "Q6_K": ()}
"""By block type: the 16-bit numbers at the front of a block that give weights of about 0.02; Q6_K has its own behind."""

_PIECE = 4 << 20
_ALIGNED = 32


@dataclass(frozen=True)
class LargeShape:
    """The sizes of a model of the Llama family."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    mlp: int
    vocabulary: int
    tied: bool

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name every tensor with its shape in torch's order."""
        narrow = self.hidden // self.heads * self.kv_heads
        yield "token_embd.weight", (self.vocabulary, self.hidden)
        for layer in range(self.layers):
            name = f"blk.{layer}"
            for part, shape in (
                ("attn_norm", (self.hidden,)),
                ("attn_q", (self.hidden, self.hidden)),
                ("attn_k", (narrow, self.hidden)),
                ("attn_v", (narrow, self.hidden)),
                ("attn_output", (self.hidden, self.hidden)),
                ("ffn_norm", (self.hidden,)),
                ("ffn_gate", (self.mlp, self.hidden)),
                ("ffn_up", (self.mlp, self.hidden)),
                ("ffn_down", (self.hidden, self.mlp)),
            ):
                yield f"{name}.{part}.weight", shape
        yield "output_norm.weight", (self.hidden,)
        if not self.tied:
            yield "output.weight", (self.vocabulary, self.hidden)

    @property
    def weights(self) -> int:
        """Return the number of weights."""
        return sum(math.prod(shape) for _, shape in self.tensors())


SHAPES = {
    "3b": LargeShape(3072, 28, 24, 8, 8192, 128_256, tied=True),
    "8b": LargeShape(4096, 32, 32, 8, 14_336, 128_256, tied=False),
    "tiny": LargeShape(256, 2, 8, 2, 512, 1024, tied=False),
}
"""Those of Llama 3.2 3B and Llama 3.1 8B, and one for tests."""


def write_shape(path: Path, shape: LargeShape, blocks: str, seed: int = 0) -> Path:
    """Write a file whose matrices are random blocks of the type ``blocks``; returns its path."""
    words, merges = vocabulary_of(shape.vocabulary)
    # In the place of the last words, the bytes that the words' letters are not.
    others = [byte for byte in gguf_files.byte_tokens() if byte not in words]
    words = words[: -len(others)] + others
    merges = merges[: -len(others)]
    values = {
        "general.architecture": "llama",
        "llama.block_count": shape.layers,
        "llama.context_length": 8192,
        "llama.embedding_length": shape.hidden,
        "llama.feed_forward_length": shape.mlp,
        "llama.attention.head_count": shape.heads,
        "llama.attention.head_count_kv": shape.kv_heads,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.freq_base": 5e5,
        "llama.rope.dimension_count": shape.hidden // shape.heads,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": words,
        "tokenizer.ggml.merges": [" ".join(pair) for pair in merges],
    }
    draw = np.random.default_rng(seed)
    pool = _pool(draw, blocks)
    with open(path, "wb") as file:
        file.write(_head(values, shape, blocks))
        for _, size in shape.tensors():
            if len(size) == 1:
                file.write(np.ones(size, np.float32).tobytes())
                continue
            left = _bytes(size, blocks)
            padding = -left % _ALIGNED
            while left:
                # Every piece begins at another block of the pool.
                begin = int(draw.integers(0, len(pool) // 2))
                piece = pool[begin : begin + len(pool) // 2].reshape(-1)[:left]
                file.write(piece.tobytes())
                left -= len(piece)
            file.write(bytes(padding))
    return path


def _bytes(size: tuple[int, ...], blocks: str) -> int:
    kind = BLOCK_TYPES[NUMBERS[blocks if len(size) > 1 else "F32"]]
    return math.prod(size) // kind.numbers * kind.bytes


def _head(values: dict[str, object], shape: LargeShape, blocks: str) -> bytes:
    tensors = list(shape.tensors())
    parts = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(values))]
    parts += [gguf_files.text(key) + gguf_files.packed(value) for key, value in values.items()]
    place = 0
    for name, size in tensors:
        number = NUMBERS[blocks] if len(size) > 1 else gguf_files.F32
        turned = tuple(reversed(size))
        parts.append(gguf_files.text(name) + struct.pack(f"<I{len(size)}QIQ", len(size), *turned, number, place))
        place += -(-_bytes(size, blocks) // _ALIGNED) * _ALIGNED
    data = b"".join(parts)
    return data + bytes(-len(data) % _ALIGNED)


def _pool(draw: np.random.Generator, blocks: str) -> np.ndarray:
    """Return random blocks ``[count, bytes]`` with sane scales."""
    kind = BLOCK_TYPES[NUMBERS[blocks]]
    pool = draw.integers(0, 256, (2 * _PIECE // kind.bytes, kind.bytes), np.uint8)
    for place, scale in enumerate(SCALES[blocks]):
        pool[:, 2 * place : 2 * place + 2] = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
    if blocks == "Q6_K":
        pool[:, 192:208] &= 31
        pool[:, 208:210] = np.frombuffer(np.float16(7e-5).tobytes(), np.uint8)
    return pool
