"""Which factors bring the channels of an int8 linear to one size: measured on the model, and told to whoever reads it again.

A product's noise is that of its rows times that of its weight, both spread evenly by the turn. By Cauchy and Schwarz it
is least where factors are the root of the ratio of a channel's size in the rows to that in the weight, and the gain can
be told before anything is read again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from engine.kernels.linears.int8 import Int8Linear

WORTH = 0.8
"""Share of the noise that factors must leave at most, for the weights to be read once more."""

_LEAST, _FURTHEST = 1e-3, 2.0**10
"""Smallest size of a channel, as a share of the average, that is believed; and the largest factor."""


@dataclass(slots=True)
class _Group:
    """Linears that are given the same rows, and the squares of those summed by channel."""

    names: list[str]
    linears: list[Int8Linear]
    squares: torch.Tensor


@dataclass(frozen=True, slots=True)
class Smoothing:
    """Factors ``[in]`` by the name of a linear; ``noise`` is the share of the noise of its products that they leave."""

    factors: dict[str, torch.Tensor] = field(default_factory=dict)
    noise: float = 1.0


def measure(model: torch.nn.Module, run: Callable[[], object]) -> Smoothing:
    """Return the factors for the int8 linears in ``model``, which are given what ``run`` gives them."""
    groups: list[_Group] = []
    known: dict[str, _Group] = {}
    last: list[Any] = [None, None]

    def hear(name: str) -> Callable[[Any, Any], None]:
        def heard(linear: Any, args: Any) -> None:
            rows, group = args[0], known.get(name)
            # Linears that are given the same rows are called with them one after the other.
            if group is None and last[0] is rows and last[1] is not None and name not in last[1].names:
                last[1].names.append(name)
                last[1].linears.append(linear)
                known[name] = last[1]
                return
            if group is None:
                group = known[name] = _Group([name], [linear], torch.zeros(linear.in_features))
                groups.append(group)
            if group.names[0] == name:
                group.squares += rows.reshape(-1, linear.in_features).float().square().sum(0)
            last[:] = rows, group

        return heard

    turned = [(name, one) for name, one in model.named_modules() if type(one) is Int8Linear and one.turns]
    hooks = [one.register_forward_pre_hook(hear(name)) for name, one in turned]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return _settled(groups)


def _settled(groups: list[_Group]) -> Smoothing:
    factors: dict[str, torch.Tensor] = {}
    logarithm = total = 0.0
    for group in groups:
        rows, columns = _sizes(group.squares), _sizes(torch.stack([one.columns[0] for one in group.linears]).sum(0))
        left = float((rows * columns).sum().square() / (rows.square().sum() * columns.square().sum()))
        numbers = sum(one.in_features * one.out_features for one in group.linears)
        if not math.isfinite(left) or not left > 0:
            continue
        logarithm, total = logarithm + numbers * math.log(left), total + numbers
        exact = (rows / columns).sqrt()
        powers = (exact / exact.log().mean().exp()).clamp(1 / _FURTHEST, _FURTHEST).log2().round().exp2()
        factors.update(dict.fromkeys(group.names, powers))
    return Smoothing(factors, math.exp(logarithm / total) if total else 1.0)


def _sizes(squares: torch.Tensor) -> torch.Tensor:
    sizes = squares.sqrt()
    return sizes.clamp_min(_LEAST * float(sizes.mean())).clamp_min(1e-20)
