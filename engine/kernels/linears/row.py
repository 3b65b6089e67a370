"""The linears again, for the one row of a step of one document, in the part of Python that TorchScript compiles.

Each computes what the linear that it is made from does for one row, from the same packed weight, in float32 or whatever
the linear takes. ``forward`` takes ``[1, in]`` and returns ``[1, out]``; ``onto`` adds the product to what is there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from engine.kernels.linears.rows import SMALLEST


class PlainRow(nn.Module):
    """A plain linear."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = weight
        self.bias = bias

    def forward(self, row: Tensor) -> Tensor:
        """Return the product."""
        return torch.nn.functional.linear(row, self.weight, self.bias)

    @torch.jit.export
    def onto(self, row: Tensor, there: Tensor) -> Tensor:
        """Return the product plus what is there."""
        return self.forward(row).add_(there)


class PackedRow(nn.Module):
    """A linear packed for oneDNN."""

    def __init__(self, packed: Tensor, bias: Tensor | None, after: tuple[str, str]) -> None:
        super().__init__()
        self.packed = packed
        self.bias = bias
        self.name, self.algorithm = after

    def forward(self, row: Tensor) -> Tensor:
        """Return the product."""
        return torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001
            row, self.packed, self.bias, self.name, [], self.algorithm
        )

    @torch.jit.export
    def onto(self, row: Tensor, there: Tensor) -> Tensor:
        """Return the product plus what is there."""
        return torch.ops.mkldnn._linear_pointwise(row, there, self.packed, self.bias, "add")  # noqa: SLF001


class HalfRow(nn.Module):
    """A float32 linear over a weight in 16 bits."""

    def __init__(self, packed: Any, bias: Tensor | None, down: float, before: bool) -> None:
        super().__init__()
        self.packed = packed
        self.bias = bias
        self.down, self.before = down, before

    def forward(self, row: Tensor) -> Tensor:
        """Return the product."""
        bias = self.bias
        if self.before:
            out = torch.ops.quantized.linear_dynamic_fp16(row * self.down, self.packed)
            return out if bias is None else out.add_(bias)
        out = torch.ops.quantized.linear_dynamic_fp16(row, self.packed)
        return out.mul_(self.down) if bias is None else torch.add(bias, out, alpha=self.down)

    @torch.jit.export
    def onto(self, row: Tensor, there: Tensor) -> Tensor:
        """Return the product plus what is there."""
        if self.before:
            out = torch.ops.quantized.linear_dynamic_fp16(row * self.down, self.packed).add_(there)
        else:
            out = torch.add(there, torch.ops.quantized.linear_dynamic_fp16(row, self.packed), alpha=self.down)
        bias = self.bias
        return out if bias is None else out.add_(bias)


class FbgemmRow(nn.Module):
    """A linear with int8 weights in FBGEMM's layout."""

    def __init__(self, packed: Any, bias: Tensor | None, levels: int, gap: int) -> None:
        """Fill rows up with ``gap`` zeros, as the weight was."""
        super().__init__()
        self.packed = packed
        self.bias = bias
        self.levels, self.smallest, self.gap = levels, SMALLEST, gap

    def forward(self, row: Tensor) -> Tensor:
        """Return the product."""
        numbers = row.float()
        largest = float(numbers.abs().max())
        if largest < self.smallest:  # noqa: PLR1730 - TorchScript's own max() turns what is not a number into one
            largest = self.smallest
        if self.gap > 0:
            numbers = torch.constant_pad_nd(numbers, [0, self.gap])
        out = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            numbers, largest / self.levels, self.levels + 1, self.packed
        )
        bias = self.bias
        if bias is not None:
            out = out.add_(bias)
        return out.to(row.dtype)

    @torch.jit.export
    def onto(self, row: Tensor, there: Tensor) -> Tensor:
        """Return the product plus what is there."""
        return self.forward(row).add_(there)


class OneDnnRow(nn.Module):
    """A linear with int8 weights in oneDNN's layout."""

    def __init__(self, packed: Tensor, scale: Tensor, zeros: Tensor, bias: Tensor | None, levels: int) -> None:
        super().__init__()
        self.packed, self.scale, self.zeros = packed, scale, zeros
        self.bias = bias
        self.levels, self.smallest = levels, SMALLEST
        self.middle = levels + 1

    def forward(self, row: Tensor) -> Tensor:
        """Return the product."""
        numbers = row.float()
        largest = numbers.abs().amax(-1, True).clamp_min_(self.smallest)
        whole = numbers.mul(self.levels / largest).round_().add_(self.middle).to(torch.uint8)
        out = torch.ops.onednn.qlinear_pointwise(
            whole,
            1.0,
            self.levels + 1,
            self.packed,
            self.scale,
            self.zeros,
            None,
            1.0,
            0,
            torch.float32,
            "none",
            [],
            "",
        )
        bias = self.bias
        return (out.mul_(largest) if bias is None else torch.addcmul(bias, out, largest)).to(row.dtype)

    @torch.jit.export
    def onto(self, row: Tensor, there: Tensor) -> Tensor:
        """Return the product plus what is there."""
        return self.forward(row).add_(there)


class FewRow(nn.Module):
    """A linear over plain rows of int8 weights."""

    def __init__(self, plain: Tensor, scale: Tensor, bias: Tensor | None, levels: int) -> None:
        super().__init__()
        self.plain, self.scale = plain, scale
        self.bias = bias
        self.levels, self.smallest = levels, SMALLEST

    def forward(self, row: Tensor) -> Tensor:
        """Return the product."""
        numbers = row.float()
        largest = numbers.abs().amax(-1, True).clamp_min_(self.smallest)
        whole = numbers.mul(self.levels / largest).round_().to(torch.bfloat16)
        out = torch.ops.aten._weight_int8pack_mm(whole, self.plain, self.scale)  # noqa: SLF001
        out = out.float().mul_(largest / self.levels).to(row.dtype)
        bias = self.bias
        return out if bias is None else out.add_(bias)

    @torch.jit.export
    def onto(self, row: Tensor, there: Tensor) -> Tensor:
        """Return the product plus what is there."""
        return self.forward(row).add_(there)


class TurnedRow(nn.Module):
    """A linear whose input is turned before it is multiplied (``turn.Turn``)."""

    def __init__(self, inner: nn.Module, matrix: Tensor, factors: Tensor | None) -> None:
        """Multiply by ``factors``, turn by ``matrix``, and leave the rest to ``inner``."""
        super().__init__()
        self.inner = inner
        self.matrix, self.factors = matrix, factors
        self.block = matrix.shape[0]

    def forward(self, row: Tensor) -> Tensor:
        """Return the product."""
        factors = self.factors
        given = row if factors is None else row * factors
        turned = torch.mm(given.reshape(-1, self.block), self.matrix.to(given.dtype)).view(row.shape)
        return self.inner(turned)

    @torch.jit.export
    def onto(self, row: Tensor, there: Tensor) -> Tensor:
        """Return the product plus what is there."""
        return self.forward(row).add_(there)


class Int4Row(nn.Module):
    """A linear with int4 weights in groups."""

    def __init__(self, packed: Tensor, group: int, scales: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.packed, self.scales = packed, scales
        self.group = group
        self.bias = bias

    def forward(self, row: Tensor) -> Tensor:
        """Return the product."""
        halved = row.to(torch.bfloat16)
        out = torch.ops.aten._weight_int4pack_mm_for_cpu(halved, self.packed, self.group, self.scales)  # noqa: SLF001
        out = out.to(row.dtype)
        bias = self.bias
        return out if bias is None else out.add_(bias)

    @torch.jit.export
    def onto(self, row: Tensor, there: Tensor) -> Tensor:
        """Return the product plus what is there."""
        return self.forward(row).add_(there)


def row_of(linear: Any) -> nn.Module | None:
    """Return ``linear`` for one row, or None for a kind that has no such thing."""
    if type(linear) is nn.Linear:
        return PlainRow(linear.weight, linear.bias)
    make = getattr(linear, "row", None)
    return None if make is None else make()
