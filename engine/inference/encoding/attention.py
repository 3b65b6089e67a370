"""Attention over packed texts: many texts in one row of tokens, and none sees another.

The model's linears see ``[1, total_tokens, hidden]``, so no padding is ever computed. Here, in the attention, each
text attends to itself alone. The layout of the row comes from the worker's thread, not through the model's keyword
arguments: some families drop those on the way (see FAMILIES.md, rule 1).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from engine.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAME = "heddle_packed"
"""The name under which transformers finds this attention."""

LARGEST_GROUP = 64
"""Texts in one bucket: keeps the score matrices of short texts in cache and the padding inside a bucket small."""


class UnsupportedAttentionError(Exception):
    """The model asked its attention for something that packed attention does not do; it has to run padded."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A run of texts that attend in one batched operation, padded to ``length`` inside the attention only.

    ``start`` and ``stop`` bound its tokens in the row. ``gather`` (``[texts * length]``) picks the rows of the padded
    layout and ``scatter`` (``[stop - start]``) those that come back; both are None when every text has ``length``
    tokens. ``mask`` (``[texts, 1, 1, length]``) is added to the scores.
    """

    start: int
    stop: int
    texts: int
    length: int
    gather: torch.Tensor | None
    scatter: torch.Tensor | None
    mask: torch.Tensor | None


class Layout:
    """Where each text lies in the packed row. ``lengths`` are tokens per text, longest first (any order works)."""

    def __init__(self, lengths: Sequence[int], device: torch.device | str = "cpu") -> None:
        """Describe a row of ``sum(lengths)`` tokens on ``device``."""
        self.lengths = list(lengths)
        self.device = torch.device(device)
        counts = torch.tensor(self.lengths, dtype=torch.int64)
        self.starts = torch.cumsum(counts, 0) - counts
        self.counts = counts.to(self.device)
        total = int(counts.sum())
        self.segment = torch.repeat_interleave(torch.arange(len(self.lengths)), counts, output_size=total).to(device)
        """Index of its text for every token, ``[total_tokens]``."""
        self.position = (torch.arange(total) - torch.repeat_interleave(self.starts, counts, output_size=total)).to(
            device
        )
        """Place inside its text for every token, counted from 0, ``[total_tokens]``."""
        self._buckets: dict[tuple[int, torch.dtype], list[Bucket]] = {}
        self._windows: dict[tuple[int, int, bool], torch.Tensor] = {}

    def buckets(self, multiple: int, dtype: torch.dtype) -> list[Bucket]:
        """Return the buckets with lengths rounded up to ``multiple``, masks in ``dtype``; made once per layout."""
        key = (multiple, dtype)
        if key not in self._buckets:
            self._buckets[key] = self._cut(multiple, dtype)
        return self._buckets[key]

    def _cut(self, multiple: int, dtype: torch.dtype) -> list[Bucket]:
        result: list[Bucket] = []
        first = start = 0
        while first < len(self.lengths):
            length = -(-self.lengths[first] // multiple) * multiple
            last, stop = first, start
            while (
                last < len(self.lengths)
                and last - first < LARGEST_GROUP
                and -(-self.lengths[last] // multiple) * multiple == length
            ):
                stop += self.lengths[last]
                last += 1
            inside = self.lengths[first:last]
            gather = scatter = mask = None
            if any(n != length for n in inside):
                column = torch.arange(length)
                real = column < torch.tensor(inside)[:, None]
                begin = self.starts[first:last, None]
                gather = torch.where(real, begin + column, begin).reshape(-1).to(self.device)
                scatter = real.reshape(-1).nonzero()[:, 0].to(self.device)
                mask = torch.zeros(len(inside), 1, 1, length, dtype=dtype).masked_fill_(
                    ~real[:, None, None], float("-inf")
                )
                mask = mask.to(self.device)
            result.append(Bucket(start, stop, len(inside), length, gather, scatter, mask))
            first, start = last, stop
        return result

    def window_mask(self, length: int, window: int, *, causal: bool) -> torch.Tensor:
        """Return the boolean mask ``[length, length]`` of a sliding window, True where a query may look.

        Both directions see less than ``window`` tokens away, as transformers' masks do: causal ``key > query -
        window``, bidirectional ``|query - key| < window``.
        """
        key = (length, window, causal)
        if key not in self._windows:
            place = torch.arange(length, device=self.device)
            distance = place[:, None] - place[None, :]
            near = distance < window
            self._windows[key] = near & (distance >= 0) if causal else near & (distance > -window)
        return self._windows[key]


class _Current(threading.local):
    """What the worker on this thread is running; every worker has its own."""

    layout: Layout | None = None
    cancelled: Callable[[], bool] | None = None
    kernel: Kernel | None = None


_current = _Current()


@contextmanager
def running(
    layout: Layout | None, kernel: Kernel | None, cancelled: Callable[[], bool] | None = None
) -> Iterator[None]:
    """Tell the attention on this thread how the row is laid out; ``cancelled`` is asked at every layer (law 14).

    Without a layout the model runs with an attention of its own and only the cancellation counts.
    """
    _current.layout, _current.kernel, _current.cancelled = layout, kernel, cancelled
    try:
        yield
    finally:
        _current.layout = _current.kernel = _current.cancelled = None


def stop_if_cancelled(*_: object) -> None:
    """Raise Cancelled if the work on this thread has been cancelled; also fits as a forward pre-hook."""
    if _current.cancelled is not None and _current.cancelled():
        raise Cancelled("cancelled")


def watch_layers(model: torch.nn.Module) -> None:
    """Make a model that keeps its own attention ask for cancellation before every layer.

    Hooked once, at load: workers share the modules, and a hook added while another worker runs would change its iteration.
    """
    for group in model.modules():
        if isinstance(group, torch.nn.ModuleList):
            for layer in group:
                layer.register_forward_pre_hook(stop_if_cancelled)


Kernel = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float, Layout], torch.Tensor]
"""Full attention of packed ``[tokens, heads, dim]`` queries, keys, values with a scale; returns the same shape."""


def sdpa_kernel(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, layout: Layout
) -> torch.Tensor:
    """Attend with PyTorch's fused kernel, equally long texts in one call."""
    return _by_text(query, key, value, scale, layout, causal=False, window=None)


def matmul_kernel(multiple: int) -> Kernel:
    """Return a kernel made of two batched matrix products and a softmax, in lengths rounded up to ``multiple``.

    On CPUs without AMX the fused kernel reaches a fifth of what oneDNN's batched products do in bfloat16, and the
    vectorised softmax falls to scalar code on rows that are no multiple of the vector length (measured: 57 keys take
    three times as long as 64). The worker measures the kernels when the model is loaded and keeps the quickest one.
    """
    return _products_kernel(multiple, _softmax_times)


def exponential_kernel(multiple: int) -> Kernel:
    """Return the kernel of two products with a softmax that does not look for the largest score first.

    Subtracting it only keeps the exponential within range, and bfloat16 has the range of float32, so scores up to 88
    need none of it; where a row's sum shows that the range was left, that bucket is done again the careful way. Without
    the search, rows of any length are vectorised, and short texts are padded less.
    """
    return _products_kernel(multiple, _exponential_times)


Products = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Scores ``[rows, length, length]`` (free to overwrite) and values ``[rows, length, width]`` to attended values."""


def _softmax_times(scores: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return torch.bmm(torch.softmax(scores, -1), values)


def _exponential_times(scores: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    weights = torch.exp(scores)
    sums = weights.sum(-1, keepdim=True)
    least, most = torch.aminmax(sums)
    if not (float(least) > 1e-30 and float(most) < 1e30):
        return _softmax_times(scores, values)
    return torch.bmm(weights, values).div_(sums)


def _products_kernel(multiple: int, attend: Products) -> Kernel:
    def kernel(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, layout: Layout
    ) -> torch.Tensor:
        tokens, heads, _ = query.shape
        width = value.shape[-1]
        result = value.new_empty(tokens, heads * width)
        for bucket in layout.buckets(multiple, query.dtype):
            texts, length = bucket.texts, bucket.length

            def padded(rows: torch.Tensor, bucket: Bucket = bucket) -> torch.Tensor:
                if bucket.gather is None:
                    rows = rows[bucket.start : bucket.stop]
                else:
                    rows = rows.reshape(tokens, -1).index_select(0, bucket.gather)
                return (
                    rows.reshape(bucket.texts, bucket.length, heads, -1)
                    .transpose(1, 2)
                    .reshape(bucket.texts * heads, bucket.length, -1)
                )

            q, k, v = padded(query), padded(key), padded(value)
            if bucket.mask is None:
                scores = torch.baddbmm(q.new_empty(1, 1, 1), q, k.transpose(1, 2), beta=0, alpha=scale)
            else:
                mask = bucket.mask.expand(texts, heads, 1, length).reshape(texts * heads, 1, length)
                scores = torch.baddbmm(mask, q, k.transpose(1, 2), beta=1, alpha=scale)
            out = attend(scores, v)
            out = out.view(texts, heads, length, width).transpose(1, 2).reshape(texts * length, heads * width)
            if bucket.scatter is None:
                result[bucket.start : bucket.stop] = out
            else:
                torch.index_select(out, 0, bucket.scatter, out=result[bucket.start : bucket.stop])
        return result.view(tokens, heads, width)

    return kernel


def _by_text(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scale: float,
    layout: Layout,
    *,
    causal: bool,
    window: int | None,
) -> torch.Tensor:
    tokens, heads, _ = query.shape
    grouped = key.shape[1] != heads
    result = value.new_empty(tokens, heads, value.shape[-1])
    # multiple=1: a bucket holds texts of one length, so nothing is padded and no mask is needed.
    for bucket in layout.buckets(1, query.dtype):
        stop, n = bucket.stop, bucket.length

        def split(rows: torch.Tensor, bucket: Bucket = bucket) -> torch.Tensor:
            part = rows[bucket.start : bucket.stop]
            return part.reshape(bucket.texts, bucket.length, *rows.shape[1:]).transpose(1, 2)

        mask = layout.window_mask(n, window, causal=causal) if window is not None and n > window else None
        out = scaled_dot_product_attention(
            split(query),
            split(key),
            split(value),
            attn_mask=mask,
            is_causal=causal and mask is None and n > 1,
            scale=scale,
            enable_gqa=grouped,
        )
        result[bucket.start : stop] = out.transpose(1, 2).reshape(stop - bucket.start, heads, -1)
    return result


_HARMLESS = frozenset(
    {"dropout", "is_causal", "position_ids", "use_cache", "deterministic", "output_attentions", "cache_position"}
)
"""Keyword arguments that do not change the result of an encoder's attention in evaluation."""


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Answer transformers' attention interface for a packed row.

    Takes ``query`` ``[1, heads, tokens, dim]`` and ``key``, ``value`` ``[1, kv_heads, tokens, dim]``; returns a
    contiguous ``[1, tokens, heads, value_dim]``. Raises UnsupportedAttentionError for whatever it would have to ignore,
    and Cancelled when the worker's job has been cancelled.
    """
    layout = _current.layout
    if layout is None or _current.kernel is None:
        raise UnsupportedAttentionError("packed attention was called outside a worker")
    stop_if_cancelled()
    if attention_mask is not None:
        raise UnsupportedAttentionError("the model builds an attention mask of its own")
    for name, given in kwargs.items():
        if given is not None and name not in _HARMLESS:
            raise UnsupportedAttentionError(f"the model hands {name!r} to its attention")
    q, k, v = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    causal = kwargs.get("is_causal")
    causal = bool(getattr(module, "is_causal", False)) if causal is None else bool(causal)
    longest = max(layout.lengths)
    window = sliding_window if sliding_window is not None and sliding_window < longest else None
    if causal or window is not None or key.shape[1] != query.shape[1]:
        out = _by_text(q, k, v, scale, layout, causal=causal, window=window)
    else:
        out = _current.kernel(q, k, v, scale, layout)
    return out.unsqueeze(0), None


def register() -> None:
    """Make the packed attention known to transformers, once."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, packed_attention)
