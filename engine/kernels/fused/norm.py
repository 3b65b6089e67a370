"""Root mean square normalisation as the one operation that PyTorch has for it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch

from engine.kernels.fused.same import random_rows, same
from engine.kernels.linears.packed import in_turns

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)

_TURNS = 15
"""How often a norm and what may replace it are timed, the one after the other."""


class FusedNorm(torch.nn.Module):
    """Root mean square normalisation (Zhang and Sennrich 2019) as one operation."""

    def __init__(self, weight: torch.nn.Parameter, eps: float, plain: nn.Module) -> None:
        """Scale by ``weight`` ``[width]``; rows of another type than that go to ``plain``, which knows how to round."""
        super().__init__()
        self.weight = weight
        self.variance_epsilon = eps
        self._shape = tuple(weight.shape)
        self._width = weight.shape[0]
        # In tuples, so that Module does not register them: they are no weights of the model.
        self._plain = (plain,)
        self._mirrored = (torch.cat([weight.detach(), torch.zeros_like(weight)]), (2 * self._width,))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return ``rows`` ``[..., width]`` divided by their root mean square, times the weight."""
        if rows.dtype != self.weight.dtype:  # some families add up layers in float32 (Falcon-Mamba)
            return self._plain[0](rows)
        if rows.numel() == self._width:
            # PyTorch's operation is eight small ones; that of layer normalisation is one, and the mean of a row beside
            # its negative is zero, its variance the mean square. For one row that takes half the time.
            weight, shape = self._mirrored
            both = torch.layer_norm(torch.cat((rows, -rows), -1), shape, weight, None, self.variance_epsilon)
            return both.narrow(-1, 0, self._width)
        return torch.rms_norm(rows, self._shape, self.weight, self.variance_epsilon)

    def extra_repr(self) -> str:
        """Describe the shape."""
        return f"{self._shape}, eps={self.variance_epsilon}"


def fuse_norm(plain: nn.Module, pays: dict[tuple[Any, ...], bool]) -> FusedNorm | None:
    """Return what replaces a norm that computes what one operation does, and not faster; None for anything else.

    ``pays`` remembers what was tried.
    """
    if not type(plain).__name__.endswith("RMSNorm") or [name for name, _ in plain.named_parameters()] != ["weight"]:
        return None
    weight: Any = plain.weight
    eps = getattr(plain, "variance_epsilon", getattr(plain, "eps", None))
    if weight.dim() != 1 or weight.device.type != "cpu" or not isinstance(eps, float):
        return None
    fused = FusedNorm(weight, eps, plain)
    key = (type(plain), tuple(weight.shape), weight.dtype, eps)
    rows = random_rows(weight.shape[0], weight.dtype)
    try:
        if not same(fused(rows), plain(rows)) or not same(fused(rows[:1]), plain(rows[:1])):
            return None
        if key not in pays:
            ours, theirs = in_turns([lambda: fused(rows), lambda: plain(rows)], _TURNS)
            pays[key] = ours <= theirs
    except (RuntimeError, TypeError, ValueError) as error:
        log.info("%s stays as it is: %s", type(plain).__name__, error)
        return None
    return fused if pays[key] else None
