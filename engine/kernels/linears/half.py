"""Float32 linears over weights that fit into 16 bits: the same product, half the memory, and half of it to read.

Most files hold bfloat16 or float16. As float16 times a power of two, one for the whole weight, all of bfloat16's digits
have room, and its range down to 2^-31 of the largest number; what is smaller is off by at most 2^-39 of the largest,
less than float32 itself rounds in a sum with the large ones. (A row of nothing but such small numbers keeps fewer digits
of its own: dead rows, as of tokens that no text holds, must not cost a whole weight its 16 bits.) The product turns the
numbers back and computes in float32: 0.45 to 0.6 of the packed float32 product's time for one row, 0.85 for 32, the same
for 256 (AVX2 and AVX-512).
"""

from __future__ import annotations

import functools
import logging
import math
import statistics
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import linear

from engine.kernels.linears import fbgemm
from engine.kernels.linears.packed import PackedLinear, in_turns
from engine.kernels.linears.row import HalfRow
from engine.kernels.linears.stand_in import stand_in

log = logging.getLogger(__name__)

_FINEST = 2.0**-25
"""Half of float16's smallest step: what a number may lose that is too small to be kept whole."""

_FURTHEST = 100
"""Largest exponent: float32 itself ends not far beyond."""

_BLOCK = 1 << 18
"""Numbers that are looked at together: what is made of them stays in the processor's cache."""

_ROWS = (32, 256)
"""Rows of the trial: of a step and of a prompt piece. Fewer are bound by reading, and gain from half of it."""

_WORTH = 1.1
"""Share of the packed float32 product's time up to which half the memory is worth it."""

_TRIED, _TURNS = (4096, 1024), 7
"""Shape of the weight that they are compared over, and how often each is timed, the one after the other."""

_OFF = 1e-4
"""RMS error of a product, in units of its RMS, beyond which it is wrong: sums in another order come to 2e-6."""


def exponent_of(weight: torch.Tensor) -> int | None:
    """Return n such that float16 holds ``weight`` (float32) times 2^n, up to what lies below its steps; None if none."""
    low, high = (float(end) for end in weight.aminmax())
    largest = max(-low, high)
    if not math.isfinite(largest):
        return None
    exponent = 15 - math.frexp(largest)[1] if largest else 0
    if abs(exponent) > _FURTHEST:
        return None
    up = 2.0**exponent
    step = max(1, _BLOCK // weight.shape[1])
    for start in range(0, weight.shape[0], step):
        meant = weight[start : start + step] * up
        if float((meant.half().float() - meant).abs_().max()) > _FINEST:
            return None
    return exponent


@dataclass(frozen=True, slots=True)
class HalfWeight:
    """A weight ``[outputs, inputs]`` as FBGEMM packed it, times 2^``exponent``."""

    packed: Any
    exponent: int
    outputs: int
    inputs: int

    @staticmethod
    def of(weight: torch.Tensor) -> HalfWeight | None:
        """Pack a float32 ``weight``; None where 16 bits do not hold it."""
        exponent = exponent_of(weight)
        if exponent is None:
            return None
        return HalfWeight(fbgemm.pack_half(weight * 2.0**exponent), exponent, weight.shape[0], weight.shape[1])


class HalfLinear(torch.nn.Module):
    """A float32 linear over a weight in 16 bits; takes and returns what ``nn.Linear`` does."""

    def __init__(self, held: HalfWeight, bias: torch.nn.Parameter | None) -> None:
        """Compute with ``held``."""
        super().__init__()
        self.out_features, self.in_features = held.outputs, held.inputs
        self.bias = bias
        self._packed = held.packed
        self._down = 2.0**-held.exponent
        self._before = held.inputs <= held.outputs
        self._stand_in = (stand_in(held.outputs, held.inputs, torch.float32),)

    @property
    def weight(self) -> torch.Tensor:
        """Shape and type of the weight, without its numbers."""
        return self._stand_in[0]

    def row(self) -> HalfRow:
        """Return this linear for one row."""
        return HalfRow(self._packed, self.bias, self._down, self._before)

    def numbers(self) -> torch.Tensor:
        """Return a copy of the weight ``[out, in]`` in rows."""
        return fbgemm.unpack_half(self._packed) * self._down

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return ``rows @ weight.T + bias`` for rows of shape ``[..., in_features]``."""
        if self.bias is None:
            out = self.without_bias(rows)
        elif self._before:
            out = self._product(rows).add_(self.bias)
        else:
            out = torch.add(self.bias, self._product(rows), alpha=self._down)
        return out.view(*rows.shape[:-1], self.out_features)

    def without_bias(self, rows: torch.Tensor) -> torch.Tensor:
        """Return ``rows @ weight.T`` as ``[n, out_features]``."""
        return self._product(rows) if self._before else self._product(rows).mul_(self._down)

    def onto(self, rows: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """Return ``there`` ``[..., out_features]`` plus the product of ``rows``."""
        out = torch.add(there, self._product(rows).view(there.shape), alpha=1.0 if self._before else self._down)
        return out if self.bias is None else out.add_(self.bias)

    def _product(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the product ``[n, out]``, still to be scaled where it is the narrower side."""
        flat = rows.reshape(-1, self.in_features)
        return fbgemm.half_product(flat * self._down if self._before else flat, self._packed)

    def extra_repr(self) -> str:
        """Describe the shape, as ``nn.Linear`` does."""
        return f"in_features={self.in_features}, out_features={self.out_features}, float32 over 16 bits"


def is_right(made: HalfLinear, weight: torch.Tensor) -> bool:
    """Tell whether a linear computes what its ``weight`` does, for a row and for some; its bias is left out."""
    rows = torch.randn(33, weight.shape[1], generator=torch.Generator().manual_seed(0))
    for count in (1, 33):
        ours, theirs = made.without_bias(rows[:count]), linear(rows[:count], weight)
        error = float((ours - theirs).square().mean().sqrt() / theirs.square().mean().sqrt().clamp_min(1e-30))
        if not error < _OFF:
            log.warning("products over 16 bits of %s are off by %.3g; not used", tuple(weight.shape), error)
            return False
    return True


@functools.cache
def halving_pays() -> bool:
    """Tell whether the product over 16 bits works here, and takes no more time than the usual one; timed once a process."""
    if not fbgemm.available():
        return False
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(_TRIED, generator=generator).bfloat16().float()
    rows = torch.randn(max(_ROWS), weight.shape[1], generator=generator)
    try:
        held = HalfWeight.of(weight)
        if held is None:
            return False
        both = HalfLinear(held, None), _usual(weight)
        if not is_right(both[0], weight):
            return False
        ratios: list[float] = []
        for count in _ROWS:
            ours, theirs = in_turns([lambda f=f, n=count: f(rows[:n]) for f in both], _TURNS)
            ratios.append(ours / theirs)
    except fbgemm.PROBLEMS as error:
        log.info("products over 16 bits are not available: %s", error)
        return False
    log.info("float32 over 16 bits takes %s of the usual time for %s rows", [round(r, 2) for r in ratios], _ROWS)
    return statistics.geometric_mean(ratios) <= _WORTH


def _usual(weight: torch.Tensor) -> torch.nn.Module:
    if torch.backends.mkldnn.is_available():
        return PackedLinear(weight, None)
    plain = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    plain.weight = torch.nn.Parameter(weight, requires_grad=False)
    return plain
