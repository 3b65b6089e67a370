"""Attention of running sequences over the slots of a worker, as transformers' attention interface calls it.

The forward's row holds one token for every decoding sequence and pieces of prompts behind them. Keys and values go to
the slots in place; the decode rows of a length class attend in one call, each prompt piece in one of its own. The
layout comes from the worker's thread, not through the model's keyword arguments: some families drop those on the way
(FAMILIES.md, rule 1).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch.nn.functional import scaled_dot_product_attention

from engine.errors import Cancelled
from engine.inference.encoding.attention import UnsupportedAttentionError
from engine.inference.generation.products import MANY, Order, blocks_pay, causal_blocks, decode_order, decode_products

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.inference.generation.layout import DecodeGroup, Layout

__all__ = ["NAME", "UnsupportedAttentionError", "current_layout", "register", "running", "slots_attention"]

NAME = "heddle_slots"
"""The name under which transformers finds this attention."""

Observer = Callable[[torch.nn.Module, torch.Tensor, torch.Tensor, "int | None"], None]
"""Called with the module, its keys and values ``[1, heads, tokens, dim]`` and its sliding window, at load."""


class _Current(threading.local):
    """What the worker on this thread is running; every worker has its own."""

    layout: Layout | None = None
    cancelled: Callable[[], bool] | None = None
    observer: Observer | None = None


_current = _Current()


@contextmanager
def running(
    layout: Layout | None, cancelled: Callable[[], bool] | None = None, observer: Observer | None = None
) -> Iterator[None]:
    """Tell the attention on this thread how the row is laid out; ``cancelled`` is asked at every layer (law 14).

    With an ``observer`` and no layout, the row is one text without a past: the first forward at load.
    """
    _current.layout, _current.cancelled, _current.observer = layout, cancelled, observer
    try:
        yield
    finally:
        _current.layout = _current.cancelled = _current.observer = None


def current_layout() -> Layout | None:
    """Return the layout of the forward that runs on this thread."""
    return _current.layout


def stop_if_cancelled() -> None:
    """Raise Cancelled when the work of the worker on this thread has been cancelled (law 14)."""
    if _current.cancelled is not None and _current.cancelled():
        raise Cancelled("cancelled")


class _Kernel(Protocol):
    def __call__(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, *, causal: bool
    ) -> torch.Tensor: ...


_HARMLESS = frozenset(
    {
        "position_ids",
        "use_cache",
        "output_router_logits",
        "output_attentions",
        "output_hidden_states",
        "cache_position",
        "logits_to_keep",
    }
)
"""Keyword arguments that do not change the result of a decoder's attention in evaluation."""


def slots_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Answer transformers' attention interface for the row of a step.

    Takes ``query`` ``[1, heads, tokens, dim]`` and this step's ``key``, ``value`` ``[1, kv_heads, tokens, dim]``;
    returns a contiguous ``[1, tokens, heads, value_dim]``. Raises UnsupportedAttentionError for whatever it would have
    to ignore, and Cancelled when the worker's work has been cancelled.
    """
    layout, observer = _current.layout, _current.observer
    stop_if_cancelled()
    _refuse_unknown(module, query, attention_mask, kwargs)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    plain = softcap is None and s_aux is None
    if plain and layout is not None and layout.tokens == 1 and layout.groups:
        group = layout.groups[0]
        keys, values = layout.memory.layer(group.length_class, module.layer_idx)  # pyright: ignore[reportArgumentType]
        if in_products(group, sliding_window, query.shape[1], keys) is None:
            return _single(group, query, key, value, keys, values, scale, sliding_window), None
    kernel = _kernel(scale, key.shape[1] != query.shape[1], softcap, s_aux)
    if layout is None:
        if observer is None:
            raise UnsupportedAttentionError("the attention over slots was called outside a worker")
        observer(module, key, value, sliding_window)
        return kernel(query, key, value, None, causal=True).transpose(1, 2).contiguous(), None
    index: int = module.layer_idx  # pyright: ignore[reportAssignmentType]
    heads = query.shape[1]
    alone = len(layout.groups) == 1 and not layout.chunks
    result = value.new_empty(0 if alone else layout.tokens, heads, value.shape[-1])
    for group in layout.groups:
        keys, values = layout.memory.layer(group.length_class, index)
        if group.stop - group.start == 1:  # plain places cost a third of what index tensors do
            place = group.low, slice(None), group.longest - 1
            keys[place], values[place] = key[0, :, group.start], value[0, :, group.start]
        else:
            keys[group.slots, :, group.columns] = key[0, :, group.start : group.stop].transpose(0, 1)
            values[group.slots, :, group.columns] = value[0, :, group.start : group.stop].transpose(0, 1)
        rows = query[0, :, group.start : group.stop].transpose(0, 1)  # [rows, heads, dim]
        if group.spots is not None:
            every = rows.new_zeros(group.high - group.low, heads, rows.shape[-1])
            every[group.spots] = rows
            rows = every
        order = in_products(group, sliding_window, query.shape[1], keys) if plain else None
        whole = order is not None
        view = group.view(sliding_window, keys.shape[2], torch.float32 if whole else query.dtype, whole=whole)
        k = keys[group.low : group.high, :, view.first : view.last]
        v = values[group.low : group.high, :, view.first : view.last]
        if order is not None:
            out = decode_products(rows, k, v, view.mask, scale, order)
        else:
            out = kernel(rows.unsqueeze(2), k, v, view.mask, causal=False)[:, :, 0]
        out = out if group.spots is None else out[group.spots]
        if alone:
            return out.contiguous().unsqueeze(0), None
        result[group.start : group.stop] = out
    blocks = plain and bool(layout.chunks) and _in_blocks(query, key)
    for chunk in layout.chunks:
        keys, values = layout.memory.layer(chunk.length_class, index)
        total = chunk.past + chunk.stop - chunk.start
        place = slice(chunk.slot, chunk.slot + 1)
        keys[place, :, chunk.past : total] = key[:, :, chunk.start : chunk.stop]
        values[place, :, chunk.past : total] = value[:, :, chunk.start : chunk.stop]
        # Read back from the slot, where the tokens of a head lie close together, whatever they came in.
        k, v = keys[place, :, :total], values[place, :, :total]
        rows = query[:, :, chunk.start : chunk.stop]
        whole = sliding_window is None or sliding_window >= total
        if whole and blocks and rows.shape[2] > 1:
            out = causal_blocks(rows, k, v, scale)
        elif whole and chunk.past == 0:
            out = kernel(rows, k, v, None, causal=True)
        else:
            view = chunk.view(sliding_window, query.dtype)
            k, v = k[:, :, view.first : view.last], v[:, :, view.first : view.last]
            out = kernel(rows, k, v, view.mask, causal=False)
        result[chunk.start : chunk.stop] = out[0].transpose(0, 1)
    return result.unsqueeze(0), None


def _single(
    group: DecodeGroup,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    scale: float,
    window: int | None,
) -> torch.Tensor:
    """Attend for the one row of a step of one sequence, in the fewest operations; returns ``[1, 1, heads, value_dim]``."""
    low, high, at = group.low, group.high, group.longest - 1
    keys[low:high, :, at : at + 1], values[low:high, :, at : at + 1] = key, value
    view = group.view(window, keys.shape[2], query.dtype)
    k, v = keys[low:high, :, view.first : view.last], values[low:high, :, view.first : view.last]
    # The query heads of a KV head are its queries, as in the kernel for many rows.
    rows = query.reshape(1, key.shape[1], -1, query.shape[3])
    return scaled_dot_product_attention(rows, k, v, attn_mask=view.mask, scale=scale).reshape(1, 1, query.shape[1], -1)


def _in_blocks(query: torch.Tensor, key: torch.Tensor) -> bool:
    """Tell whether prompt pieces attend in blocks of plain products here."""
    if query.device.type != "cpu":
        return False
    return blocks_pay(query.shape[1], key.shape[1], query.shape[3], query.dtype, torch.get_num_threads())


def in_products(group: DecodeGroup, window: int | None, heads: int, keys: torch.Tensor) -> Order | None:
    """Return the order in which the decode rows of a group, of ``heads`` query heads, attend to ``keys`` in products.

    None where the fused kernel is the better way.
    """
    columns = group.longest if window is None else min(window, group.longest)
    if keys.device.type != "cpu" or (group.high - group.low) * columns * keys.shape[1] * keys.shape[3] < MANY:
        return None
    return decode_order(heads, keys.shape[1], keys.shape[3], keys.dtype, torch.get_num_threads())


def _refuse_unknown(
    module: torch.nn.Module, query: torch.Tensor, attention_mask: torch.Tensor | None, kwargs: dict[str, Any]
) -> None:
    if attention_mask is not None:
        raise UnsupportedAttentionError("the model builds an attention mask of its own")
    if query.shape[0] != 1:
        raise UnsupportedAttentionError("the model splits the row of tokens before its attention")
    for name, given in kwargs.items():
        if given is None or name in _HARMLESS or (name == "dropout" and not given) or (name == "is_causal" and given):
            continue
        raise UnsupportedAttentionError(f"the model hands {name!r} to its attention")
    if not getattr(module, "is_causal", False):
        raise UnsupportedAttentionError("the model's attention also looks ahead")


def _kernel(scale: float, grouped: bool, softcap: float | None, sinks: torch.Tensor | None) -> _Kernel:
    if softcap is None and sinks is None:

        def fused(
            query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, *, causal: bool
        ) -> torch.Tensor:
            batch, heads, queries, dim = query.shape
            if grouped and queries == 1:
                # The query heads of a KV head go in as its queries: in bfloat16 without AMX 7 to 12 times as fast as
                # enable_gqa (32 slots of 320 tokens, 14 heads on 2: 0.87 against 10.2 ms), in float32 1.3 to 1.7.
                rows = query.view(batch, key.shape[1], -1, dim)
                out = scaled_dot_product_attention(rows, key, value, attn_mask=mask, scale=scale)
                return out.reshape(batch, heads, 1, -1)
            return scaled_dot_product_attention(
                query,
                key,
                value,
                attn_mask=mask,
                is_causal=causal and queries > 1,
                scale=scale,
                enable_gqa=grouped,
            )

        return fused

    def spelled_out(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, *, causal: bool
    ) -> torch.Tensor:
        batch, heads, queries, dim = query.shape
        kv_heads, columns = key.shape[1], key.shape[2]
        # The queries that share a KV head go into one product; KV heads are never repeated.
        rows = query.reshape(batch, kv_heads, heads // kv_heads * queries, dim)
        scores = (rows @ key.transpose(2, 3) * scale).view(batch, heads, queries, columns)
        if softcap is not None:
            scores = torch.tanh(scores / softcap) * softcap
        if mask is not None:
            scores = scores + mask
        elif causal and queries > 1:
            ahead = torch.ones(queries, columns, dtype=torch.bool, device=query.device).triu_(1)
            scores = scores.masked_fill(ahead, float("-inf"))
        if sinks is not None:
            # One more logit per head, dropped after the softmax: it only takes weight away from the keys.
            sink = sinks.to(scores.dtype).view(1, -1, 1, 1).expand(batch, -1, queries, 1)
            weights = torch.softmax(torch.cat([scores, sink], -1).float(), -1)[..., :-1]
        else:
            weights = torch.softmax(scores.float(), -1)
        weights = weights.to(query.dtype).reshape(batch, kv_heads, -1, columns)
        return (weights @ value).view(batch, heads, queries, -1)

    return spelled_out


def register() -> None:
    """Make the attention over slots known to transformers."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, slots_attention)
