"""Linears with int8 weights: a scale for every output channel, and activations in 8 (or 7) bits with a scale a row."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from engine.kernels.linears.int8_kernels import LEVELS, Int8Kernels, Int8Operator, over_rows, takes_rows_of
from engine.kernels.linears.row import FewRow, TurnedRow
from engine.kernels.linears.rows import quantise_few, shared_rows
from engine.kernels.linears.stand_in import stand_in
from engine.kernels.linears.turn import Turn
from engine.kernels.mapped import let_go

_BLOCK = 1 << 21
"""Numbers quantised at once: the float copy of a block is all that exists beside the weight."""

FEW = 4
"""Rows up to which the kernel for few rows is used, where there is one."""


@dataclass(frozen=True, slots=True)
class Int8Weight:
    """A weight as ``numbers`` int8 ``[out, in]`` and ``scale`` float32 ``[out]``, which has the digits of bfloat16.

    ``dtype`` is what it was made of; ``turn``, where given, how it was turned before, and its rows have to be.
    ``columns`` ``[in]`` are the squares of its columns' lengths, before that; empty where nobody asked.
    """

    numbers: torch.Tensor
    scale: torch.Tensor
    dtype: torch.dtype
    turn: Turn | None = None
    columns: torch.Tensor = field(default_factory=lambda: torch.empty(0))

    def floats(self, rows: slice | torch.Tensor) -> torch.Tensor:
        """Return float32 ``rows`` of the weight, turned back."""
        made = self.numbers[rows] * self.scale[rows, None]
        return made if self.turn is None else self.turn.back(made)


def quantise_weight(weight: torch.Tensor, *, factors: torch.Tensor | None = None, release: bool = False) -> Int8Weight:
    """Return a weight ``[out, in]`` as int8: turned, symmetric, a scale for every output channel.

    (Dettmers et al. 2022 call it vector-wise.) ``factors`` are those of its ``Turn``. ``release``: nobody reads the weight again, so its pages may go as soon
    as they are used.
    """
    numbers = torch.empty(weight.shape, dtype=torch.int8)
    scales = torch.empty(weight.shape[0])
    columns = torch.zeros(weight.shape[1])
    turn = Turn.of(weight.shape[1], factors, weight.dtype)
    step = max(1, _BLOCK // weight.shape[1])
    for start in range(0, weight.shape[0], step):
        rows = weight[start : start + step]
        block = rows.float()
        columns += block.square().sum(0)
        block = block if turn is None else turn.weight(block)
        scale = (block.abs().amax(1) / LEVELS).clamp_min(1e-30).bfloat16().float()
        numbers[start : start + step] = (block / scale[:, None]).round_().clamp_(-LEVELS, LEVELS).to(torch.int8)
        scales[start : start + step] = scale
        if release:
            let_go(rows)
    return Int8Weight(numbers, scales, weight.dtype, turn, columns)


class Int8Linear(torch.nn.Module):
    """A linear with int8 weights; takes and returns floats as ``nn.Linear`` does."""

    def __init__(
        self,
        weight: torch.Tensor | Int8Weight,
        bias: torch.nn.Parameter | None,
        kernels: Int8Kernels,
        *,
        siblings: object = None,
        keep_both: bool = False,
        output: bool = False,
        factors: torch.Tensor | None = None,
    ) -> None:
        """Take ``weight`` ``[out, in]``, which is quantised unless it is already, and is free to go afterwards.

        ``factors`` are those of its turn, where it is to be quantised here.

        ``siblings`` is the same for linears that are given the same tensor one after the other. ``keep_both`` keeps a
        second layout for products of few rows too, where the kernels say that it pays. ``output``: it makes the logits,
        so it is given few rows.
        """
        super().__init__()
        made = weight if isinstance(weight, Int8Weight) else quantise_weight(weight, factors=factors)
        whole, scale = made.numbers, made.scale
        self.out_features, self.in_features = whole.shape
        self.bias = bias
        self._siblings = siblings
        self._turn = made.turn
        self.columns = (made.columns,)
        """The squares of the lengths of the weight's columns."""
        self._kernels = kernels
        self._levels = kernels.levels
        # Held in tuples so that Module does not register them: a packed layout cannot be moved, cast or saved.
        keeps = not kernels.levels or (kernels.few and keep_both and takes_rows_of(self.in_features))
        fills = kernels.levels > 0 and kernels.gap(self.out_features, self.in_features) > 0
        self._packed: tuple[Int8Operator, ...] = ()
        if fills and (output or keep_both):
            self._packed = (kernels.pack_filled(whole, scale),)
        if kernels.levels and not (fills and output):
            self._packed = (kernels.pack(whole, scale), *self._packed)
        self._plain: tuple[torch.Tensor, ...] = (whole, scale.bfloat16()) if keeps else ()
        self._scale = (scale,)
        self._stand_in = (stand_in(self.out_features, self.in_features, made.dtype),)

    @property
    def kernels(self) -> Int8Kernels:
        """What it computes with."""
        kernels = self._kernels
        return Int8Kernels(self._levels, bool(self._plain), kernels.fbgemm, kernels.filling and self.keeps_both)

    @property
    def keeps_both(self) -> bool:
        """Whether it has a second layout for products of few rows."""
        return len(self._packed) + len(self._plain[:1]) > 1

    @property
    def turns(self) -> bool:
        """Whether its input is turned before it is rounded."""
        return self._turn is not None

    def numbers(self) -> Int8Weight:
        """Return the weight as it was given, up to whether it is kept in rows."""
        whole = self._plain[0] if self._plain else self._packed[0].numbers()
        return Int8Weight(whole, self._scale[0], self.weight.dtype, self._turn, self.columns[0])

    def row(self) -> torch.nn.Module | None:
        """Return this linear for one row; None where its weights are turned to floats for every product."""
        if self._plain and self._packed:
            made: torch.nn.Module = FewRow(self._plain[0], self._plain[1], self.bias, self._levels)
        elif self._packed:
            made = self._packed[-1].row(self.bias)
        else:
            return None
        return made if self._turn is None else TurnedRow(made, *self._turn.parts())

    @property
    def weight(self) -> torch.Tensor:
        """Shape of the weight and type of what goes in and out, without numbers."""
        return self._stand_in[0]

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return ``rows @ weight.T + bias`` for rows of shape ``[..., in_features]``."""
        flat = rows.reshape(-1, self.in_features) if rows.dim() != 2 else rows
        if not self._packed:
            flat = self._turned(flat)
            out = torch.nn.functional.linear(flat, self._plain[0].to(flat.dtype)) * self._scale[0].to(flat.dtype)
            out = out if self.bias is None else out + self.bias
        elif self._plain and flat.shape[0] <= FEW:
            out = self._few(self._turned(flat))
        else:
            out = self._whole(rows, flat)
        return out.view(*rows.shape[:-1], self.out_features)

    def onto(self, rows: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """Return ``there`` ``[..., out_features]`` plus the product of ``rows``."""
        return self.forward(rows).add_(there)

    def _turned(self, flat: torch.Tensor) -> torch.Tensor:
        return flat if self._turn is None else self._turn.rows(flat)

    def _whole(self, rows: torch.Tensor, flat: torch.Tensor) -> torch.Tensor:
        """Return the product of ``flat`` ``[n, in]``, which is ``rows`` as the model handed them over."""
        # The last one is for few rows, if there are two.
        operator, dtype = self._packed[-1 if flat.shape[0] <= FEW else 0], flat.dtype
        if flat.shape[0] == 1:
            alone = operator.alone(self._turned(flat))
            if alone is not None:
                return (alone if self.bias is None else alone.add_(self.bias)).to(dtype)
        if self._siblings is None:
            prepared, steps = operator.prepare(self._turned(flat))
        else:
            factors = None if self._turn is None else self._turn.factors
            key = (self._siblings, type(operator), self._levels, self._turn is None, id(factors))
            prepared, steps = shared_rows(rows, flat, lambda given: operator.prepare(self._turned(given)), key)
        out = operator.product(prepared)
        return (out.mul_(steps) if self.bias is None else torch.addcmul(self.bias, out, steps)).to(dtype)

    def _few(self, flat: torch.Tensor) -> torch.Tensor:
        numbers, largest = quantise_few(flat, self._levels)
        out = over_rows(numbers, *self._plain).float().mul_(largest / self._levels).to(flat.dtype)
        return out if self.bias is None else out.add_(self.bias)

    def extra_repr(self) -> str:
        """Describe the shape, as ``nn.Linear`` does."""
        return f"in_features={self.in_features}, out_features={self.out_features}, int8"
