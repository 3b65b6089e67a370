"""Linears with weights laid out for oneDNN once, at load, instead of at every call.

The operators are private to PyTorch and their worth depends on the instruction set (law 10), so they are tried and
timed on the machine when a model is loaded; where they fail, differ or are slower, the plain linears stay.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import linear

from engine.kernels.linears.row import PackedRow
from engine.kernels.linears.stand_in import stand_in

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)

ROWS = 1024
"""Rows for which the layout is chosen; the packed weight works for any number."""

_TRIED, _TURNS = 8192, 4
"""Outputs of a weight that the trial computes (all of an output layer's would be hundreds of megabytes), and how often."""


def _pack(weight: torch.Tensor) -> torch.Tensor:
    return torch.ops.mkldnn._reorder_linear_weight(weight.detach(), ROWS)  # noqa: SLF001 - see the module's docstring


def _apply(
    rows: torch.Tensor, packed: torch.Tensor, bias: torch.Tensor | None, after: tuple[str, str] = ("none", "")
) -> torch.Tensor:
    return torch.ops.mkldnn._linear_pointwise(rows, packed, bias, after[0], [], after[1])  # noqa: SLF001


class PackedLinear(torch.nn.Module):
    """A linear whose weight is kept in oneDNN's own layout; takes and returns what ``nn.Linear`` does."""

    def __init__(self, weight: torch.Tensor, bias: torch.nn.Parameter | None) -> None:
        """Pack ``weight`` ``[out, in]``; it is free to go afterwards."""
        super().__init__()
        self.out_features, self.in_features = weight.shape
        # Held in a tuple so that Module does not register them: a packed layout cannot be moved, cast or saved.
        self._packed = (_pack(weight),)
        self._stand_in = (stand_in(self.out_features, self.in_features, weight.dtype),)
        self.bias = bias
        self.after: tuple[str, str] = ("none", "")
        """What is applied to the result on its way out, as oneDNN names it: an operation and its algorithm."""

    def row(self) -> PackedRow:
        """Return this linear for one row."""
        return PackedRow(self._packed[0], self.bias, self.after)

    def numbers(self) -> torch.Tensor:
        """Return a copy of the weight ``[out, in]`` in rows."""
        return self._packed[0].to_dense()

    @property
    def weight(self) -> torch.Tensor:
        """Shape and type of the weight, without its numbers."""
        return self._stand_in[0]

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return ``rows @ weight.T + bias``, and what comes after, for rows of shape ``[..., in_features]``."""
        return _apply(rows, self._packed[0], self.bias, self.after)

    def onto(self, rows: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """Return ``there`` ``[..., out_features]`` plus the product of ``rows``; nothing may come after this one."""
        return torch.ops.mkldnn._linear_pointwise.binary(rows, there, self._packed[0], self.bias, "add")  # noqa: SLF001

    def times(self, rows: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        """Return the product of ``rows``, each number times that of ``factor`` ``[..., out_features]``."""
        return torch.ops.mkldnn._linear_pointwise.binary(rows, factor, self._packed[0], self.bias, "mul")  # noqa: SLF001

    def extra_repr(self) -> str:
        """Describe the shape, as ``nn.Linear`` does."""
        return f"in_features={self.in_features}, out_features={self.out_features}, packed for oneDNN"


def best_time(function: Callable[[], object], repeats: int = 5) -> float:
    """Return the shortest of some runs of ``function`` in seconds, after one to warm up."""
    function()
    shortest = float("inf")
    for _ in range(repeats):
        begin = time.perf_counter()
        function()
        shortest = min(shortest, time.perf_counter() - begin)
    return shortest


def in_turns(functions: Sequence[Callable[[], object]], turns: int) -> list[float]:
    """Return the shortest time of each of ``functions`` in seconds, run one after the other ``turns`` times.

    What disturbs a machine for a while disturbs them alike, so this tells better than ``best_time`` which is faster.
    """
    times = [[best_time(function, 1) for function in functions] for _ in range(turns)]
    return [min(column) for column in zip(*times, strict=True)]


def packing_pays(weight: torch.Tensor) -> bool:
    """Tell whether the packed operator works, agrees with the plain one, and is no slower, for ``weight`` ``[out, in]``."""
    if weight.device.type != "cpu" or weight.dtype not in (torch.float32, torch.bfloat16):
        return False
    if not torch.backends.mkldnn.is_available():
        return False
    weight = weight[:_TRIED]
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(256, weight.shape[1], generator=generator).to(weight.dtype)
    try:
        packed = _pack(weight)
        ours = _apply(rows, packed, None)
        theirs = linear(rows, weight)
        error = (ours.float() - theirs.float()).square().mean().sqrt() / theirs.float().std().clamp_min(1e-9)
        if not bool(error < (0.02 if weight.dtype is torch.bfloat16 else 1e-4)):
            log.warning("packed linears differ from plain ones by %.3g; not used", float(error))
            return False
        ours, theirs = in_turns([lambda: _apply(rows, packed, None), lambda: linear(rows, weight)], _TURNS)
        return ours <= 1.05 * theirs
    except (RuntimeError, AttributeError, TypeError) as error:
        log.info("packed linears are not available: %s", error)
        return False


def fuse_gelu(parent: nn.Module) -> None:
    """Let a packed linear apply the exact GELU that follows it, which saves a pass over the widest activations.

    Known by the names that BERT and its relatives share: ``intermediate_act_fn(dense(x))`` and nothing in between.
    """
    dense, act = getattr(parent, "dense", None), getattr(parent, "intermediate_act_fn", None)
    if not isinstance(dense, PackedLinear) or not isinstance(act, torch.nn.Module):
        return
    # nn.GELU and transformers' own wrapper of it; whether it is the exact one is asked of the function itself.
    probe = torch.linspace(-4, 4, 65)
    if torch.equal(act(probe), torch.nn.functional.gelu(probe)):
        dense.after = ("gelu", "none")
        parent.intermediate_act_fn = torch.nn.Identity()
