"""Several linears that are given the same rows as one, their outputs side by side: one product instead of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from engine.kernels.linears.half import HalfLinear, HalfWeight
from engine.kernels.linears.int4 import Int4Linear, stack_weights
from engine.kernels.linears.int8 import Int8Linear, Int8Weight
from engine.kernels.linears.packed import PackedLinear


def stack(linears: Sequence[Any]) -> torch.nn.Module | None:
    """Return a linear whose outputs are those of ``linears`` in turn, or None where their formats cannot be joined.

    They are left as they are; their weights are free to go afterwards.
    """
    kinds = {type(one) for one in linears}
    if len(kinds) != 1 or len({one.in_features for one in linears}) != 1:
        return None
    make = _MAKERS.get(kinds.pop())
    return None if make is None else make(linears, _joined_bias(linears))


def _joined_bias(linears: Sequence[Any]) -> torch.nn.Parameter | None:
    """Return the biases in one; zeros for a linear without, None if none has any."""
    given = [one.bias for one in linears if one.bias is not None]
    if not given:
        return None
    parts = [
        torch.zeros(one.out_features, dtype=given[0].dtype) if one.bias is None else one.bias.detach()
        for one in linears
    ]
    return torch.nn.Parameter(torch.cat(parts), requires_grad=False)


def _plain(linears: Sequence[Any], bias: torch.nn.Parameter | None) -> torch.nn.Module:
    weight = torch.cat([one.weight.detach() for one in linears])
    made = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    made.weight = torch.nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        made.bias = bias
    return made.eval()


def _packed(linears: Sequence[PackedLinear], bias: torch.nn.Parameter | None) -> torch.nn.Module | None:
    if any(one.after != ("none", "") for one in linears):
        return None
    return PackedLinear(torch.cat([one.numbers() for one in linears]), bias)


def _half(linears: Sequence[HalfLinear], bias: torch.nn.Parameter | None) -> torch.nn.Module | None:
    held = HalfWeight.of(torch.cat([one.numbers() for one in linears]))
    return None if held is None else HalfLinear(held, bias)


def _int8(linears: Sequence[Int8Linear], bias: torch.nn.Parameter | None) -> torch.nn.Module | None:
    kernels = linears[0].kernels
    if any(one.kernels != kernels for one in linears):
        return None
    held = [one.numbers() for one in linears]
    turn = held[0].turn
    if any((one.turn is not None) if turn is None else not turn.agrees(one.turn) for one in held):
        return None
    numbers, scale = torch.cat([one.numbers for one in held]), torch.cat([one.scale for one in held])
    whole = Int8Weight(numbers, scale, held[0].dtype, turn)
    return Int8Linear(whole, bias, kernels, keep_both=linears[0].keeps_both)


def _int4(linears: Sequence[Int4Linear], bias: torch.nn.Parameter | None) -> torch.nn.Module | None:
    whole = stack_weights([one.numbers for one in linears])
    return None if whole is None else Int4Linear(whole, bias)


_MAKERS: dict[type, Callable[[Sequence[Any], torch.nn.Parameter | None], torch.nn.Module | None]] = {
    torch.nn.Linear: _plain,
    PackedLinear: _packed,
    HalfLinear: _half,
    Int8Linear: _int8,
    Int4Linear: _int4,
}
