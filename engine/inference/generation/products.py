"""Attention on the CPU in plain matrix products: of a prompt piece, a block of queries at a time, and of decode rows.

PyTorch's fused kernel repeats the keys of grouped heads and computes what lies ahead too: for 64 to 512 tokens plain
products over what a block of queries sees take 0.3 to 0.8 of its time (14 heads on 2 and 9 on 3; bfloat16 and float32,
AVX-512). Decode rows have few queries a KV head, for which its products read the keys at a third of the speed that they
can be read at; batched products of keys and queries do not: 0.25 to 0.6 of the fused kernel's time in bfloat16 and 0.7
to 1 in float32 (14 heads on 2, 9 on 3, 32 on 8, 12 on 12). Queries first is the faster order without AMX: 0.86 to 1.0 of
the time with AVX512-BF16, less than half with AVX-512 alone. What is fastest is measured in the worker, once for each shape.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import Enum

import torch
from torch.nn.functional import scaled_dot_product_attention

from engine.kernels.linears.packed import in_turns

QUERIES = 64
"""Queries of a block."""

MANY = 1 << 17
"""Numbers of a layer's keys from which on decode rows may pay for the four operations of ``decode_products``."""

_TURNS = 5
"""How often the ways are timed, the one after the other."""

_TRIAL_BYTES = 40 << 20
"""Keys and values of a trial of decode rows. They outgrow a core's caches, and the trial runs in the first decode step:
what it takes is on top of all else. Models without grouped heads came to a gigabyte with a fixed shape."""


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


class Order(Enum):
    """In which order a product takes keys and queries."""

    KEYS_FIRST = "keys first"
    QUERIES_FIRST = "queries first"


def decode_products(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    order: Order = Order.KEYS_FIRST,
) -> torch.Tensor:
    """Return the attention of one query a slot, ``query`` ``[slots, heads, dim]``.

    ``key`` is ``[slots, kv_heads, columns, dim]`` and ``value`` ``[slots, kv_heads, columns, value_dim]``; where they are
    not whole slots, the products copy them. ``mask`` is float32, added to the scores, ``[slots, 1, 1, columns]``. Scores
    are scaled, masked and normalised in float32. Returns ``[slots, heads, value_dim]``.
    """
    slots, kv_heads, columns, dim = key.shape
    group = query.shape[1] // kv_heads
    rows, keys = query.reshape(slots * kv_heads, group, dim), key.flatten(0, 1)
    if order is Order.KEYS_FIRST:
        scores = torch.bmm(keys, rows.transpose(1, 2)).transpose(1, 2)
    else:
        scores = torch.bmm(rows, keys.transpose(1, 2))
    scores = scores.to(torch.float32, memory_format=torch.contiguous_format).view(slots, kv_heads, group, columns)
    scores = scores.mul_(scale) if mask is None else torch.add(mask, scores, alpha=scale, out=scores)
    weights = torch.softmax(scores, -1).to(value.dtype).view(slots * kv_heads, group, columns)
    return torch.bmm(weights, value.flatten(0, 1)).view(slots, kv_heads * group, -1)


def trial_shape(kv_heads: int, dim: int, number_bytes: int) -> tuple[int, int, int]:
    """Return (layers, slots, columns) over which decode rows are tried: up to 8 and 16 of 256, in ``_TRIAL_BYTES``."""
    columns = 256
    slot = 2 * kv_heads * columns * dim * number_bytes
    slots = max(1, min(16, _TRIAL_BYTES // slot))
    return max(1, min(8, _TRIAL_BYTES // (slots * slot))), slots, columns


@functools.lru_cache(maxsize=64)
def decode_order(heads: int, kv_heads: int, dim: int, dtype: torch.dtype, threads: int) -> Order | None:  # noqa: ARG001
    """Return the order in which ``decode_products`` is fastest over many keys with so many threads on this machine.

    None where the fused kernel is faster still. Asked by a worker in its own thread, whose ``threads`` are set.
    """
    layers, slots, columns = trial_shape(kv_heads, dim, dtype.itemsize)
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        query = torch.randn(slots, heads, dim, generator=generator).to(dtype)
        # Several layers' keys and values: a step reads each of them once, from memory. One block, which goes back to the
        # system whole; many small ones leave the heap in pieces, twice their size.
        many = torch.empty(layers, 2, slots, kv_heads, columns, dim, dtype=dtype).normal_(generator=generator)
        mask = torch.zeros(slots, 1, 1, columns)
        mask[::2, :, :, -9:] = float("-inf")
        halved = mask.to(dtype)
        rows = query.view(slots, kv_heads, -1, dim)

        def fused() -> list[torch.Tensor]:
            return [scaled_dot_product_attention(rows, k, v, attn_mask=halved, scale=0.125) for k, v in many]

        def products(order: Order) -> list[torch.Tensor]:
            return [decode_products(query, k, v, mask, 0.125, order) for k, v in many]

        meant = fused()[0]
        orders = [order for order in Order if _agree(products(order)[0], meant)]
        ways = [functools.partial(products, order) for order in orders]
        *ours, theirs = in_turns([*ways, fused], _TURNS)
        best = min(zip(ours, orders, strict=True), key=lambda one: one[0], default=None)
        return best[1] if best is not None and best[0] < theirs else None


@functools.lru_cache(maxsize=64)
def blocks_pay(heads: int, kv_heads: int, dim: int, dtype: torch.dtype, threads: int) -> bool:  # noqa: ARG001
    """Tell whether ``causal_blocks`` beats the fused kernel for these heads with so many threads on this machine.

    Asked by a worker in its own thread, whose ``threads`` are set.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        query = torch.randn(1, heads, 256, dim, generator=generator).to(dtype)
        key = torch.randn(1, kv_heads, 256, dim, generator=generator).to(dtype)

        def fused() -> torch.Tensor:
            grouped = heads != kv_heads
            return scaled_dot_product_attention(query, key, key, is_causal=True, scale=0.125, enable_gqa=grouped)

        def blocks() -> torch.Tensor:
            return causal_blocks(query, key, key, 0.125)

        return _agree(blocks(), fused()) and _faster(blocks, fused)


def _faster(one: Callable[[], torch.Tensor], other: Callable[[], torch.Tensor]) -> bool:
    ours, theirs = in_turns([one, other], _TURNS)
    return ours < theirs


def _agree(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Tell whether two ways to compute the same numbers differ by no more than their format rounds."""
    room = 0.05 if other.dtype == torch.bfloat16 else 1e-4
    return torch.allclose(one.flatten(), other.flatten(), rtol=room, atol=room * float(other.abs().max()))
