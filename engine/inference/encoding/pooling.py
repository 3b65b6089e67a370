"""From token vectors to one vector a text: the poolings and layers that sentence-transformers' folders describe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import linear, normalize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.inference.encoding.attention import Layout


def pool(hidden: torch.Tensor, layout: Layout, modes: Sequence[str], skip: torch.Tensor | None = None) -> torch.Tensor:
    """Reduce packed token vectors ``[total_tokens, hidden]`` to ``[texts, hidden * len(modes)]`` in float32.

    ``modes`` are sentence-transformers' names: mean, cls, max, lasttoken, mean_sqrt_len_tokens, weightedmean.
    ``skip`` (``[texts]``) counts the prompt's tokens at the start of each text that stay out of the pooling, where the
    folder asks for that. Raises ValueError for a mode that is none of these.
    """
    hidden = hidden.float()
    texts, width = len(layout.lengths), hidden.shape[1]
    starts = layout.starts.to(hidden.device)
    counts = layout.counts
    keep: torch.Tensor | None = None
    if skip is not None and bool(skip.any()):
        skip = skip.to(hidden.device)
        keep = (layout.position >= skip[layout.segment]).unsqueeze(1)
        starts = starts + skip
        counts = (counts - skip).clamp_min(0)
    vectors: list[torch.Tensor] = []
    for mode in modes:
        if mode in ("mean", "mean_sqrt_len_tokens"):
            total = hidden.new_zeros(texts, width).index_add_(
                0, layout.segment, hidden if keep is None else hidden * keep
            )
            size = counts.clamp_min(1).unsqueeze(1).float()
            vectors.append(total / (size if mode == "mean" else size.sqrt()))
        elif mode == "weightedmean":
            # The weight of a token is its place in the text counted from 1, prompt tokens counted but left out.
            weight = (layout.position + 1).unsqueeze(1).float()
            if keep is not None:
                weight = weight * keep
            total = hidden.new_zeros(texts, width).index_add_(0, layout.segment, hidden * weight)
            size = hidden.new_zeros(texts, 1).index_add_(0, layout.segment, weight)
            vectors.append(total / size.clamp_min(1e-9))
        elif mode == "max":
            masked = hidden if keep is None else hidden.masked_fill(~keep, float("-inf"))
            index = layout.segment.unsqueeze(1).expand(-1, width)
            start = hidden.new_full((texts, width), float("-inf"))
            vectors.append(start.scatter_reduce_(0, index, masked, "amax", include_self=True))
        elif mode == "cls":
            vectors.append(hidden[starts])
        elif mode == "lasttoken":
            vectors.append(hidden[layout.starts.to(hidden.device) + layout.counts - 1])
        else:
            message = f"unknown pooling {mode!r}"
            raise ValueError(message)
    return torch.cat(vectors, 1)


@dataclass(frozen=True, slots=True)
class DenseWeights:
    """A dense layer behind the pooling: ``activation(vector @ weight.T + bias)``, in float32."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    activation: torch.nn.Module

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return ``[texts, out_features]`` for ``[texts, in_features]``."""
        return self.activation(linear(vectors, self.weight, self.bias))


def finish(vectors: torch.Tensor, dense: Sequence[DenseWeights], *, unit_length: bool, keep: int = 0) -> torch.Tensor:
    """Apply the dense layers in order, scale every vector to length 1 if asked, and keep ``keep`` numbers (0: all)."""
    for layer in dense:
        vectors = layer(vectors)
    if unit_length:
        vectors = normalize(vectors, dim=-1)
    return vectors[:, :keep] if keep else vectors
