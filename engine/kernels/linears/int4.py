"""Linears with int4 weights in groups: each group of 64 (or 32) numbers of a row has a scale and a middle of its own.

A quarter of bfloat16's memory, and quick where few rows are computed; the operators are private to PyTorch, so ``works``
tries them (law 10 of the house).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from engine.kernels.linears.row import Int4Row
from engine.kernels.linears.stand_in import stand_in

log = logging.getLogger(__name__)

GROUPS = (64, 32)
"""Sizes of a group in numbers, the best first; the operators know 32, 64, 128 and 256."""

_EXACT, _ASKED = 0.01, 64
"""Share of a weight's size that groups may lose of numbers that were made for them (16-bit scales: 0.005; any other
numbers: 0.06), and the rows that are asked."""

_OUTPUTS = 16
"""The operator takes output channels in multiples of this many."""

_TOGETHER = 64
"""Output channels are laid out in blocks of this many (32 without AVX-512) and a rest: only whole blocks can be followed
by others, so what is packed in pieces must be cut here."""

_BLOCK = 1 << 20
"""Numbers quantised at once; they take 16 bytes each meanwhile."""


def group_of(outputs: int, inputs: int) -> int:
    """Return the group size for a weight ``[outputs, inputs]``; 0 when the operators do not take its shape."""
    return 0 if outputs % _OUTPUTS else next((size for size in GROUPS if inputs % size == 0), 0)


def holds_as_it_is(weight: torch.Tensor) -> bool:
    """Tell whether groups of 32 hold a weight ``[out, in]`` up to the rounding of their scales.

    So it is with what was read from Q4_1 blocks, which reach from 0 to 15: rounded in groups of another size, it would be rounded twice.
    """
    asked = weight[:_ASKED].float()
    if asked.shape[0] % _OUTPUTS or asked.shape[1] % GROUPS[-1]:
        return False
    whole, scales = quantise_groups(asked, GROUPS[-1])
    parts = (whole.view(asked.shape[0], -1, GROUPS[-1]) - 8) * scales[:, :, :1].transpose(0, 1)
    lost = (parts + scales[:, :, 1:].transpose(0, 1)).view(asked.shape) - asked
    return bool(lost.square().mean() < _EXACT**2 * asked.square().mean())


def quantise_groups(weight: torch.Tensor, group: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a weight ``[out, in]`` as whole numbers 0 to 15 (int32) and ``[in / group, out, 2]``: scale and middle.

    A number q of a group stands for ``(q - 8) * scale + middle``.
    """
    outputs, inputs = weight.shape
    parts = weight.float().view(outputs, inputs // group, group)
    low, high = parts.amin(-1), parts.amax(-1)
    scale = ((high - low) / 15).clamp_min(1e-8).bfloat16().float()
    middle = (low + 8 * scale).bfloat16().float()
    whole = ((parts - middle[..., None]) / scale[..., None]).round_().add_(8).clamp_(0, 15)
    return whole.view(outputs, inputs).to(torch.int32), torch.stack([scale, middle], -1).transpose(0, 1).contiguous()


def _pack(whole: torch.Tensor) -> torch.Tensor:
    return torch.ops.aten._convert_weight_to_int4pack_for_cpu(whole, 1)  # noqa: SLF001 - see the module's docstring


def _product(rows: torch.Tensor, packed: torch.Tensor, group: int, scales: torch.Tensor) -> torch.Tensor:
    return torch.ops.aten._weight_int4pack_mm_for_cpu(rows, packed, group, scales)  # noqa: SLF001


def works() -> bool:
    """Tell whether the operators are here and compute what the numbers stand for."""
    generator = torch.Generator().manual_seed(0)
    outputs = 2 * _TOGETHER + _OUTPUTS
    weight = torch.randn(outputs, 128, generator=generator)
    rows = torch.randn(3, 128, generator=generator).bfloat16()
    try:
        whole, scales = quantise_groups(weight, 64)
        packed = torch.cat([_pack(part) for part in whole.split(_TOGETHER)])  # as a large weight is packed
        made = _product(rows, packed, 64, scales.bfloat16()).float()
    except (RuntimeError, AttributeError, TypeError) as error:
        log.info("int4 products are not available: %s", error)
        return False
    meant = (whole.view(outputs, 2, 64) - 8) * scales[:, :, :1].transpose(0, 1) + scales[:, :, 1:].transpose(0, 1)
    expected = rows.float() @ meant.view(outputs, 128).T
    return bool((made - expected).abs().max() < 0.05 * expected.std())


@dataclass(frozen=True, slots=True)
class Int4Weight:
    """A weight ``[out, in]`` as the operators take it, in groups of ``group`` with their ``scales``.

    ``dtype`` is what it was made of.
    """

    packed: torch.Tensor
    scales: torch.Tensor
    group: int
    outputs: int
    inputs: int
    dtype: torch.dtype


def quantise_weight(weight: torch.Tensor, group: int) -> Int4Weight:
    """Return a weight ``[out, in]`` as int4 in groups of ``group``."""
    outputs, inputs = weight.shape
    packed: list[torch.Tensor] = []
    scales: list[torch.Tensor] = []
    step = max(_TOGETHER, _BLOCK // inputs // _TOGETHER * _TOGETHER)
    for start in range(0, outputs, step):
        whole, scale = quantise_groups(weight[start : start + step], group)
        packed.append(_pack(whole))
        scales.append(scale.bfloat16())
    return Int4Weight(torch.cat(packed), torch.cat(scales, 1).contiguous(), group, outputs, inputs, weight.dtype)


def stack_weights(weights: Sequence[Int4Weight]) -> Int4Weight | None:
    """Return weights of the same inputs one below the other; None where a layout does not end with a whole block."""
    first = weights[0]
    if len({weight.group for weight in weights}) != 1 or any(weight.outputs % _TOGETHER for weight in weights[:-1]):
        return None
    packed = torch.cat([weight.packed for weight in weights])
    scales = torch.cat([weight.scales for weight in weights], 1)
    return Int4Weight(packed, scales, first.group, sum(weight.outputs for weight in weights), first.inputs, first.dtype)


class Int4Linear(torch.nn.Module):
    """A linear with int4 weights; takes and returns floats as ``nn.Linear`` does, and computes in bfloat16."""

    def __init__(self, numbers: Int4Weight, bias: torch.nn.Parameter | None) -> None:
        """Compute with ``numbers``."""
        super().__init__()
        self.out_features, self.in_features = numbers.outputs, numbers.inputs
        self.bias = bias
        self.numbers = numbers
        self._stand_in = (stand_in(self.out_features, self.in_features, numbers.dtype),)

    def row(self) -> Int4Row:
        """Return this linear for one row."""
        held = self.numbers
        return Int4Row(held.packed, held.group, held.scales, self.bias)

    @property
    def weight(self) -> torch.Tensor:
        """Shape of the weight and type of what goes in and out, without numbers."""
        return self._stand_in[0]

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return ``rows @ weight.T + bias`` for rows of shape ``[..., in_features]``."""
        out = self.without_bias(rows)
        if self.bias is not None:
            out.add_(self.bias)
        return out

    def onto(self, rows: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """Return ``there`` ``[..., out_features]`` plus the product of ``rows``."""
        return self.forward(rows).add_(there)

    def without_bias(self, rows: torch.Tensor) -> torch.Tensor:
        """Return ``rows @ weight.T``."""
        held = self.numbers
        # The operator refuses rows that do not lie one after the other, as those of state-space models do not.
        flat = rows.reshape(-1, self.in_features).bfloat16().contiguous()
        return (
            _product(flat, held.packed, held.group, held.scales)
            .to(rows.dtype)
            .view(*rows.shape[:-1], self.out_features)
        )

    def extra_repr(self) -> str:
        """Describe the shape, as ``nn.Linear`` does."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, int4 in groups of {self.numbers.group}"
        )
