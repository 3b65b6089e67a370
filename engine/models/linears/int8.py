"""Linears with int8 weights: a scale for every output channel, and activations in 8 (or 7) bits with a scale a row.

oneDNN's operator computes the product in whole numbers, so a row comes out the same to the last bit whatever stands
beside it. Its arithmetic is tried with the largest numbers before it is used: without VNNI its 16-bit sums overflow on
8-bit activations, and 7 bits are exact (measured under AVX2 and AVX512_CORE caps).

PyTorch's operators here are private; ``Int8Kernels.find`` tries them and falls back (law 10 of the house).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch

from engine.models.linears.packed import best_time
from engine.models.linears.rows import quantise_few, quantise_rows, shared_rows
from engine.models.linears.stand_in import stand_in
from engine.models.mapped import let_go

log = logging.getLogger(__name__)

LEVELS = 127
"""Weights are whole numbers from -127 to 127."""

_BLOCK = 1 << 21
"""Numbers quantised at once: the float copy of a block is all that exists beside the weight."""

_CLEARLY = 0.5
"""Share of the usual time within which the kernel for few rows is worth a second layout of all weights (AVX2: 0.28)."""

FEW = 4
"""Rows up to which the kernel for few rows is used, where there is one."""


@dataclass(frozen=True, slots=True)
class Int8Kernels:
    """Which operators this machine computes int8 products with.

    ``levels``: 127 or 63, the largest whole number that an activation may take without overflow; 0 where oneDNN's
    operator cannot be used, and weights are turned to floats for every product. ``few``: for up to ``FEW`` rows the
    operator over plain rows of weights is faster, so both layouts are kept where memory allows.
    """

    levels: int
    few: bool

    @staticmethod
    def find() -> Int8Kernels:
        """Try the operators on numbers that overflow where anything can, and time them."""
        levels = next((n for n in (127, 63) if _exact(n)), 0)
        return Int8Kernels(levels, bool(levels) and _few_pay(levels))


def _prepack(weight: torch.Tensor) -> torch.Tensor:
    return torch.ops.onednn.qlinear_prepack(weight, None)


def _product(
    rows: torch.Tensor, levels: int, packed: torch.Tensor, scale: torch.Tensor, zeros: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    return torch.ops.onednn.qlinear_pointwise(
        rows, 1.0, levels + 1, packed, scale, zeros, None, 1.0, 0, dtype, "none", [], ""
    )


def _exact(levels: int) -> bool:
    """Tell whether oneDNN's product is right for the largest activations and weights, at one row and at several."""
    if not torch.backends.mkldnn.is_available():
        return False
    outputs, inputs = 64, 512
    weight = torch.full((outputs, inputs), LEVELS, dtype=torch.int8)
    weight[1::2] = -LEVELS
    rows = torch.full((40, inputs), levels, dtype=torch.int32)
    rows[1::2] = -levels
    rows[2] = torch.arange(inputs) % (2 * levels + 1) - levels
    expected = (rows @ weight.int().T).float()
    try:
        packed = _prepack(weight)
        for count in (1, 3, 40):
            made = _product(
                (rows[:count] + levels + 1).to(torch.uint8),
                levels,
                packed,
                torch.ones(outputs),
                torch.zeros(outputs, dtype=torch.int64),
                torch.float32,
            )
            if not torch.equal(made, expected[:count]):
                return False
    except (RuntimeError, AttributeError, TypeError) as error:
        log.info("oneDNN's int8 product is not available: %s", error)
        return False
    return True


def _over_rows(rows: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return torch.ops.aten._weight_int8pack_mm(rows, weight, scale)  # noqa: SLF001 - see the module's docstring


def _few_pay(levels: int) -> bool:
    """Tell whether one row is clearly faster over plain rows of weights; weights are read from memory, not from cache."""
    size, count = 1024, 48  # 48 MB: more than most caches hold
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randint(-127, 128, (size, size), dtype=torch.int8, generator=generator) for _ in range(count)]
    rows = torch.randint(-levels, levels + 1, (1, size), generator=generator)
    scale = torch.full((size,), 0.0078125)
    try:
        packed = [_prepack(weight) for weight in weights]
        zeros = torch.zeros(size, dtype=torch.int64)
        bytes_, halves = (rows + levels + 1).to(torch.uint8), rows.to(torch.bfloat16)
        expected = _product(bytes_, levels, packed[0], scale, zeros, torch.float32)
        made = _over_rows(halves, weights[0], scale.bfloat16()).float()
        if not torch.allclose(made, expected, rtol=0.01, atol=0.01 * float(expected.abs().max())):
            return False
        usual = best_time(lambda: [_product(bytes_, levels, p, scale, zeros, torch.float32) for p in packed], 3)
        other = best_time(lambda: [_over_rows(halves, w, scale.bfloat16()) for w in weights], 3)
    except (RuntimeError, AttributeError, TypeError) as error:
        log.info("the int8 product over plain rows is not available: %s", error)
        return False
    log.info("int8, one row: %.3g ms packed, %.3g ms plain", usual / count * 1e3, other / count * 1e3)
    return other < _CLEARLY * usual


@dataclass(frozen=True, slots=True)
class Int8Weight:
    """A weight as ``numbers`` int8 ``[out, in]`` and ``scale`` float32 ``[out]``, which has the digits of bfloat16.

    ``dtype`` is what it was made of.
    """

    numbers: torch.Tensor
    scale: torch.Tensor
    dtype: torch.dtype


def quantise_weight(weight: torch.Tensor, *, release: bool = False) -> Int8Weight:
    """Return a weight ``[out, in]`` as int8: symmetric, a scale for every output channel.

    (Dettmers et al. 2022 call it vector-wise.) ``release``: nobody reads the weight again, so its pages may go as soon
    as they are used.
    """
    numbers = torch.empty(weight.shape, dtype=torch.int8)
    scales = torch.empty(weight.shape[0])
    step = max(1, _BLOCK // weight.shape[1])
    for start in range(0, weight.shape[0], step):
        rows = weight[start : start + step]
        block = rows.float()
        scale = (block.abs().amax(1) / LEVELS).clamp_min(1e-30).bfloat16().float()
        numbers[start : start + step] = (block / scale[:, None]).round_().clamp_(-LEVELS, LEVELS).to(torch.int8)
        scales[start : start + step] = scale
        if release:
            let_go(rows)
    return Int8Weight(numbers, scales, weight.dtype)


class Int8Linear(torch.nn.Module):
    """A linear with int8 weights; takes and returns floats as ``nn.Linear`` does."""

    def __init__(
        self,
        weight: torch.Tensor | Int8Weight,
        bias: torch.nn.Parameter | None,
        kernels: Int8Kernels,
        *,
        siblings: object = None,
        keep_rows: bool = False,
    ) -> None:
        """Take ``weight`` ``[out, in]``, which is quantised unless it is already, and is free to go afterwards.

        ``siblings`` is the same for linears that are given the same tensor one after the other. ``keep_rows`` keeps the
        plain rows for products of few rows too, where the kernels say that it pays.
        """
        super().__init__()
        made = weight if isinstance(weight, Int8Weight) else quantise_weight(weight)
        whole, scale = made.numbers, made.scale
        self.out_features, self.in_features = whole.shape
        self.bias = bias
        self._siblings = siblings
        self._levels = kernels.levels
        # Held in tuples so that Module does not register them: a packed layout cannot be moved, cast or saved.
        keeps = not kernels.levels or (kernels.few and keep_rows)
        self._packed: tuple[torch.Tensor, ...] = (_prepack(whole),) if kernels.levels else ()
        self._plain: tuple[torch.Tensor, ...] = (whole, scale.bfloat16()) if keeps else ()
        self._scale = (scale / kernels.levels,) if kernels.levels else (scale,)
        self._zeros = (torch.zeros(self.out_features, dtype=torch.int64),)
        self._stand_in = (stand_in(self.out_features, self.in_features, made.dtype),)

    @property
    def kernels(self) -> Int8Kernels:
        """What it computes with."""
        return Int8Kernels(self._levels, few=bool(self._plain))

    def numbers(self) -> Int8Weight:
        """Return the weight as it was given, up to whether it is kept in rows."""
        whole = self._plain[0] if self._plain else self._packed[0].to_dense().t()
        # Scales have the digits of bfloat16, so what was divided comes back exactly.
        scale = (self._scale[0] * max(1, self._levels)).bfloat16().float()
        return Int8Weight(whole, scale, self.weight.dtype)

    @property
    def weight(self) -> torch.Tensor:
        """Shape of the weight and type of what goes in and out, without numbers."""
        return self._stand_in[0]

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return ``rows @ weight.T + bias`` for rows of shape ``[..., in_features]``."""
        flat = rows.reshape(-1, self.in_features) if rows.dim() != 2 else rows
        if not self._packed:
            out = torch.nn.functional.linear(flat, self._plain[0].to(flat.dtype)) * self._scale[0].to(flat.dtype)
            out = out if self.bias is None else out + self.bias
        elif self._siblings is None and self._plain and flat.shape[0] <= FEW:
            out = self._few(*quantise_few(flat, self._levels), flat.dtype)
        elif self._siblings is None:
            out = self._whole(*quantise_rows(flat, self._levels), flat.dtype)
        else:
            out = self._whole(*self._shared(rows, flat), flat.dtype)
        return out.view(*rows.shape[:-1], self.out_features)

    def onto(self, rows: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """Return ``there`` ``[..., out_features]`` plus the product of ``rows``."""
        return self.forward(rows).add_(there)

    def _shared(self, rows: torch.Tensor, flat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return shared_rows(rows, flat, self._levels, self._siblings)

    def _whole(self, numbers: torch.Tensor, largest: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        if self._plain and numbers.shape[0] <= FEW:
            return self._few(numbers.bfloat16().sub_(self._levels + 1), largest, dtype)
        out = _product(numbers, self._levels, self._packed[0], self._scale[0], self._zeros[0], dtype)
        largest = largest.to(dtype)  # exact: the magnitude of a number of that format
        return out.mul_(largest) if self.bias is None else torch.addcmul(self.bias, out, largest)

    def _few(self, numbers: torch.Tensor, largest: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        out = _over_rows(numbers, *self._plain).float().mul_(largest / self._levels).to(dtype)
        return out if self.bias is None else out.add_(self.bias)

    def extra_repr(self) -> str:
        """Describe the shape, as ``nn.Linear`` does."""
        return f"in_features={self.in_features}, out_features={self.out_features}, int8"
