"""Which operators compute products with int8 weights on this machine: those that are exact, and of them the fastest.

oneDNN's operator and FBGEMM's compute in whole numbers, so a row comes out the same whatever stands beside it. Their
arithmetic is tried with the largest numbers before it is used: without VNNI their 16-bit sums overflow on 8-bit
activations, and 7 bits are exact (measured under AVX2 and AVX512_CORE caps). Under AVX2 FBGEMM's takes 0.4 of oneDNN's
time for one row, 0.5 for 32 and 0.6 to 0.9 for 256; with VNNI 0.65, 1.0 and 1.5.

The operators are private to PyTorch or on their way out of it; ``Int8Kernels.find`` falls back (law 10 of the house).
"""

from __future__ import annotations

import functools
import logging
import statistics
from dataclasses import dataclass
from typing import Protocol

import torch

from engine.kernels.linears import fbgemm
from engine.kernels.linears.packed import in_turns
from engine.kernels.linears.row import FbgemmRow, OneDnnRow
from engine.kernels.linears.rows import SMALLEST, normalise_rows, quantise_rows
from engine.telemetry import machine

log = logging.getLogger(__name__)

LEVELS = 127
"""Weights are whole numbers from -127 to 127."""

_CLEARLY = 0.5
"""Share of oneDNN's time within which the operator for few rows is worth a second layout of all weights (AVX2: 0.4)."""

_ROWS = (32, 256)
"""Rows for which the operators are compared: of a step of many documents, and of a prompt piece."""


_WIDE = (4096, 1024)
"""Shape of the weights that they are compared over."""


_TURNS = 9
"""How often each is timed, the one after the other."""

_FAR = 12
"""Weights that the operators for one row are timed over: 48 MB, more than most caches hold."""


_WHOLE_BLOCK = 32
"""Inputs of weights that the operator over plain rows is given come to a multiple of this."""

_BLOCK = 512
"""Inputs that FBGEMM lays out together. The last block of a weight is as long in memory, but what is missing in it is
left out of the reading, and the processor's prefetching stumbles over every such gap (896 inputs, from memory: one row
takes 0.8 to 0.9 of the time with zeros in the gaps; 16 rows and more 1.12, for the zeros are computed)."""

_GAP = 0.05
"""Share of the inputs that a gap must come to before it is filled."""

_LARGE = 1 << 21
"""Numbers of a weight from which on it gains more than filling up its rows takes."""


class Int8Operator(Protocol):
    """Holds an int8 weight ``[out, in]`` with a scale ``[out]`` in a layout of its own, and multiplies rows with it."""

    def numbers(self) -> torch.Tensor:
        """Return the weight as it was given."""
        ...

    def prepare(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ``rows`` ``[n, in]`` as ``product`` takes them, and what its rows are to be multiplied by ``[n, 1]``."""
        ...

    def product(self, prepared: torch.Tensor) -> torch.Tensor:
        """Return the product ``[n, out]`` of prepared rows in float32: it is still to be scaled, and rounded only then."""
        ...

    def alone(self, row: torch.Tensor) -> torch.Tensor | None:
        """Return the product of one row ``[1, in]`` in fewer operations, or None where there is no such way."""
        ...

    def row(self, bias: torch.Tensor | None) -> torch.nn.Module:
        """Return the whole linear for one row."""
        ...


class OneDnn:
    """An int8 weight in oneDNN's layout."""

    def __init__(self, numbers: torch.Tensor, scale: torch.Tensor, levels: int) -> None:
        """Pack as the protocol says."""
        self._levels = levels
        self._packed = _prepack(numbers)
        self._scale = scale / levels
        self._zeros = torch.zeros(numbers.shape[0], dtype=torch.int64)

    def numbers(self) -> torch.Tensor:
        """Return the weight as it was given."""
        return self._packed.to_dense().t()

    def prepare(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return bytes around ``levels + 1``, and the largest magnitudes."""
        return quantise_rows(rows, self._levels)

    def product(self, prepared: torch.Tensor) -> torch.Tensor:
        """Return the product of prepared rows."""
        return _product(prepared, self._levels, self._packed, self._scale, self._zeros)

    def alone(self, row: torch.Tensor) -> None:
        """Return None: a row alone is computed like others."""

    def row(self, bias: torch.Tensor | None) -> OneDnnRow:
        """Return the whole linear for one row."""
        return OneDnnRow(self._packed, self._scale, self._zeros, bias, self._levels)


class Fbgemm:
    """An int8 weight in FBGEMM's layout."""

    def __init__(self, numbers: torch.Tensor, scale: torch.Tensor, levels: int, gap: int = 0) -> None:
        """Pack ``numbers``, and ``gap`` zeros behind each row of them."""
        self._levels, self._gap = levels, gap
        self._packed = fbgemm.pack_int8(_filled(numbers, gap), scale)

    def numbers(self) -> torch.Tensor:
        """Return the weight as it was given."""
        whole = fbgemm.unpack_int8(self._packed)
        return whole[:, : whole.shape[1] - self._gap].contiguous() if self._gap else whole

    def prepare(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return floats that the product rounds to whole numbers, and the steps between those."""
        return normalise_rows(rows, self._levels)

    def product(self, prepared: torch.Tensor) -> torch.Tensor:
        """Return the product of prepared rows."""
        return fbgemm.int8_product(_filled(prepared, self._gap), 1.0, self._levels, self._packed)

    def alone(self, row: torch.Tensor) -> torch.Tensor:
        """Return the product of one row, whose step the operator takes as a number."""
        row = row.float()
        largest = row.abs().max().item()
        step = (largest if not largest < SMALLEST else SMALLEST) / self._levels  # what is not a number stays none
        return fbgemm.int8_product(_filled(row, self._gap), step, self._levels, self._packed)

    def row(self, bias: torch.Tensor | None) -> FbgemmRow:
        """Return the whole linear for one row."""
        return FbgemmRow(self._packed, bias, self._levels, self._gap)


@dataclass(frozen=True, slots=True)
class Int8Kernels:
    """Which operators this machine computes int8 products with.

    ``levels``: 127 or 63, the largest whole number that an activation may take without overflow; 0 where no operator for
    whole numbers can be used, and weights are turned to floats for every product. ``few``: for up to a few rows the
    operator over plain rows of weights is faster than oneDNN's, so both layouts are kept where memory allows.
    ``fbgemm``: the operator is FBGEMM's, not oneDNN's. ``filling``: for up to a few rows its layout is faster with the
    gaps filled, so both are kept where memory allows.
    """

    levels: int
    few: bool
    fbgemm: bool = False
    filling: bool = False

    @staticmethod
    @functools.cache
    def find() -> Int8Kernels:
        """Try the operators on numbers that overflow where anything can, and time them; once in a process."""
        exact = {n: [kind for kind in (OneDnn, Fbgemm) if _exact(kind, n)] for n in (127, 63)}
        levels = next((n for n, kinds in exact.items() if kinds), 0)
        if not levels:
            return Int8Kernels(0, few=False)
        if Fbgemm in exact[levels] and (OneDnn not in exact[levels] or _fbgemm_pays(levels)):
            return Int8Kernels(levels, few=False, fbgemm=True, filling=_filling_pays(levels))
        return Int8Kernels(levels, _few_pay(levels))

    def pack(self, numbers: torch.Tensor, scale: torch.Tensor) -> Int8Operator:
        """Return the operator that holds a weight ``[out, in]``; ``levels`` must not be 0."""
        return (Fbgemm if self.fbgemm else OneDnn)(numbers, scale, self.levels)

    def gap(self, outputs: int, inputs: int) -> int:
        """Return how many zeros behind the inputs of a weight make a product of a few rows faster; 0 if none do."""
        gap = -inputs % _BLOCK
        return gap if self.filling and gap > _GAP * inputs and outputs * inputs >= _LARGE else 0

    def pack_filled(self, numbers: torch.Tensor, scale: torch.Tensor) -> Int8Operator:
        """Return the operator that holds a weight ``[out, in]`` for a few rows, where ``gap`` is not 0."""
        return Fbgemm(numbers, scale, self.levels, self.gap(*numbers.shape))


def _prepack(weight: torch.Tensor) -> torch.Tensor:
    return torch.ops.onednn.qlinear_prepack(weight, None)


def _product(
    rows: torch.Tensor, levels: int, packed: torch.Tensor, scale: torch.Tensor, zeros: torch.Tensor
) -> torch.Tensor:
    return torch.ops.onednn.qlinear_pointwise(
        rows, 1.0, levels + 1, packed, scale, zeros, None, 1.0, 0, torch.float32, "none", [], ""
    )


def _exact(kind: type[OneDnn | Fbgemm], levels: int) -> bool:
    """Tell whether an operator's product is right for the largest activations and weights, at one row and at several."""
    if not (torch.backends.mkldnn.is_available() if kind is OneDnn else fbgemm.available()):
        return False
    outputs, inputs = 64, 512
    weight = torch.full((outputs, inputs), LEVELS, dtype=torch.int8)
    weight[1::2] = -LEVELS
    rows = torch.full((40, inputs), levels, dtype=torch.int32)
    rows[1::2] = -levels
    rows[2] = torch.arange(inputs) % (2 * levels + 1) - levels
    expected = (rows @ weight.int().T).float()
    try:
        packed = kind(weight, torch.full((outputs,), float(levels)), levels)
        for count in (1, 3, 40):
            prepared, steps = packed.prepare(rows[:count].float())
            if not torch.equal(packed.product(prepared) * steps, expected[:count] * levels):
                return False
        alone = packed.alone(rows[:1].float())
        if alone is not None and not torch.equal(alone, expected[:1] * levels):
            return False
    except fbgemm.PROBLEMS as error:
        log.info("the int8 product of %s is not available: %s", kind.__name__, error)
        return False
    return True


def takes_rows_of(inputs: int) -> bool:
    """Tell whether ``over_rows`` can be given rows of so many numbers.

    It reads whole blocks, and behind the last row whatever lies there: with AVX-512 16 numbers, with AVX2 8 (measured:
    wrong products, or the end of the process).
    """
    return inputs % _WHOLE_BLOCK == 0


def over_rows(rows: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Return bfloat16 ``rows`` ``[n, in]`` times plain rows of an int8 ``weight`` and its bfloat16 ``scale``.

    Only for inputs that ``takes_rows_of``.
    """
    # The operator refuses rows that lie otherwise, and some families turn theirs: state-space models, convolutions.
    return torch.ops.aten._weight_int8pack_mm(rows.contiguous(), weight, scale)  # noqa: SLF001 - see the docstring


def _trial(count: int, rows: int) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """Return ``count`` weights, their scale, and rows as a model hands them over."""
    outputs, inputs = _WIDE
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randint(-127, 128, _WIDE, dtype=torch.int8, generator=generator) for _ in range(count)]
    dtype = torch.bfloat16 if machine.number_dtype("int8") == "bf16" else torch.float32
    return weights, torch.full((outputs,), 0.0078125), torch.randn(rows, inputs, generator=generator).to(dtype)


def _fbgemm_pays(levels: int) -> bool:
    """Tell whether FBGEMM's product is faster than oneDNN's: in the geometric mean for ``_ROWS``, timed in turns."""
    weights, scale, rows = _trial(1, max(_ROWS))
    packed = [kind(weights[0], scale, levels) for kind in (OneDnn, Fbgemm)]
    ratios: list[float] = []
    for count in _ROWS:
        ours, theirs = in_turns([lambda p=p, n=count: _whole(p, rows[:n]) for p in packed], _TURNS)
        ratios.append(theirs / ours)
    log.info("int8: FBGEMM takes %s of oneDNN's time for %s rows", [round(r, 2) for r in ratios], _ROWS)
    return statistics.geometric_mean(ratios) < 1


def _filled(rows: torch.Tensor, gap: int) -> torch.Tensor:
    return torch.constant_pad_nd(rows, (0, gap)) if gap else rows


def _filling_pays(levels: int) -> bool:
    """Tell whether one row is faster over weights whose gaps are filled; they are read from memory."""
    weights, scale, rows = _trial(_FAR, 1)
    width = _BLOCK + _BLOCK * 3 // 4
    plain = [Fbgemm(weight[:, :width].contiguous(), scale, levels) for weight in weights]
    filled = [Fbgemm(weight[:, :width].contiguous(), scale, levels, -width % _BLOCK) for weight in weights]
    row = rows[:, :width].contiguous()
    without, having = in_turns([lambda k=kind: [_whole(p, row) for p in k] for kind in (plain, filled)], _TURNS)
    log.info("int8: one row takes %.2f of the time with FBGEMM's gaps filled", having / without)
    return having < without


def _few_pay(levels: int) -> bool:
    """Tell whether one row is clearly faster over plain rows of weights than with oneDNN; they are read from memory."""
    weights, scale, rows = _trial(_FAR, 1)
    whole, few = rows.float().mul(levels / 4).round_().bfloat16(), scale.bfloat16()
    try:
        expected = whole.float() @ (weights[0].float() * scale[:, None]).T
        made = over_rows(whole, weights[0], few).float()
        if not torch.allclose(made, expected, rtol=0.01, atol=0.01 * float(expected.abs().max())):
            return False
    except fbgemm.PROBLEMS as error:
        log.info("the int8 product over plain rows is not available: %s", error)
        return False
    packed = [OneDnn(weight, scale, levels) for weight in weights]
    plain, theirs = in_turns(
        [lambda: [over_rows(whole, weight, few) for weight in weights], lambda: [_whole(p, rows) for p in packed]],
        _TURNS,
    )
    log.info("int8: one row takes %.2f of oneDNN's time over plain rows", plain / theirs)
    return plain < _CLEARLY * theirs


def _whole(operator: OneDnn | Fbgemm, rows: torch.Tensor) -> torch.Tensor:
    alone = operator.alone(rows) if rows.shape[0] == 1 else None
    if alone is not None:
        return alone.to(rows.dtype)
    prepared, steps = operator.prepare(rows)
    return operator.product(prepared).mul_(steps).to(rows.dtype)
