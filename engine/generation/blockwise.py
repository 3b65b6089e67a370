"""Causal attention of a prompt piece on the CPU, a block of queries at a time, in plain matrix products.

PyTorch's fused kernel repeats the keys of grouped heads and computes what lies ahead too: for 64 to 512 tokens plain
products over what a block of queries sees take 0.3 to 0.8 of its time (14 heads on 2 and 9 on 3; bfloat16 and float32,
AVX-512). Which of the two is faster is measured in the lane, once for each shape.
"""

from __future__ import annotations

import functools

import torch
from torch.nn.functional import scaled_dot_product_attention

from engine.models.linears.packed import best_time

QUERIES = 64
"""Queries of a block."""


@functools.lru_cache(maxsize=8)
def _ahead(dtype: torch.dtype) -> torch.Tensor:
    """Return what is added to the scores of a block against its own keys: 0 up to a query's place, -inf behind."""
    with torch.inference_mode():
        return torch.full((QUERIES, QUERIES), float("-inf"), dtype=dtype).triu_(1)


def causal_blocks(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
    """Return the attention of ``query`` ``[1, heads, queries, dim]``, the last tokens of those in ``key``.

    ``key`` is ``[1, kv_heads, tokens, dim]`` and ``value`` ``[1, kv_heads, tokens, value_dim]``; query i sees the tokens
    up to its own. Query heads that share a KV head go into one product. Returns ``[1, heads, queries, value_dim]``.
    """
    _, heads, queries, dim = query.shape
    kv_heads, tokens, wide = key.shape[1], key.shape[2], value.shape[3]
    group = heads // kv_heads
    rows = (query * scale).view(kv_heads, group, queries, dim)
    turned = key[0].transpose(1, 2)
    out = value.new_empty(kv_heads, group, queries, wide)
    ahead = _ahead(query.dtype)
    for start in range(0, queries, QUERIES):
        stop = min(queries, start + QUERIES)
        count, seen = stop - start, tokens - queries + stop
        block = rows[:, :, start:stop].reshape(kv_heads, group * count, dim)
        scores = torch.bmm(block, turned[:, :, :seen]).view(heads, count, seen)
        scores[:, :, seen - count :].add_(ahead[:count, :count])
        weights = torch.softmax(scores, -1).view(kv_heads, group * count, seen)
        out[:, :, start:stop] = torch.bmm(weights, value[0, :, :seen]).view(kv_heads, group, count, wide)
    return out.view(1, heads, queries, wide)


@functools.lru_cache(maxsize=64)
def blocks_pay(heads: int, kv_heads: int, dim: int, dtype: torch.dtype, threads: int) -> bool:  # noqa: ARG001
    """Tell whether ``causal_blocks`` beats the fused kernel for these heads with so many threads on this machine.

    Asked by a lane in its own thread, whose ``threads`` are set.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        query = torch.randn(1, heads, 256, dim, generator=generator).to(dtype)
        key = torch.randn(1, kv_heads, 256, dim, generator=generator).to(dtype)
        fused = best_time(
            lambda: scaled_dot_product_attention(query, key, key, is_causal=True, enable_gqa=heads != kv_heads), 3
        )
        return best_time(lambda: causal_blocks(query, key, key, 0.125), 3) < fused
