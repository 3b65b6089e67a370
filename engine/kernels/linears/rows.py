"""Activations as whole numbers, every row with a scale of its own, so that no document's answer depends on another's."""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch

_ROUND = 12_582_912.0
"""1.5 x 2^23: a float32 of that size has no digits behind the point, so adding it rounds to the nearest whole number,
which then lies in the lowest bits. Five times as fast as a cast from float to uint8."""

SMALLEST = 1e-30
"""Scale of a row of zeros."""


class _Last(threading.local):
    """The rows that this worker quantised last: the query, key and value linears of a layer take the same ones."""

    source: torch.Tensor | None = None
    key: object = None
    made: tuple[torch.Tensor, torch.Tensor] | None = None


_last = _Last()


def quantise_rows(rows: torch.Tensor, levels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``rows`` ``[n, width]`` as uint8 around ``levels + 1``, and the largest magnitude of each row ``[n, 1]``.

    A number x of a row with the largest magnitude m becomes ``round(x / m * levels) + levels + 1``.
    """
    numbers = rows.float()
    largest = numbers.abs().amax(-1, True).clamp_min_(SMALLEST)
    whole = numbers.mul(levels / largest) if numbers is rows else numbers.mul_(levels / largest)
    whole.add_(_ROUND + levels + 1)
    return whole.view(torch.int32).to(torch.uint8), largest


def quantise_few(rows: torch.Tensor, levels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what ``quantise_rows`` does, to the last number, as bfloat16 around zero: fewer operations for few rows."""
    numbers = rows.float()
    largest = numbers.abs().amax(-1, True).clamp_min_(SMALLEST)
    whole = numbers.mul(levels / largest) if numbers is rows else numbers.mul_(levels / largest)
    return whole.round_().bfloat16(), largest


def normalise_rows(rows: torch.Tensor, levels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``rows`` ``[n, width]`` as float32 from ``-levels`` to ``levels``, not yet rounded, and each row's step ``[n, 1]``."""
    numbers = rows.float()
    step = numbers.abs().amax(-1, True).clamp_min_(SMALLEST).div_(levels)
    return numbers.mul(1 / step), step


def shared_rows(
    rows: torch.Tensor,
    flat: torch.Tensor,
    prepare: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
    key: object,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what ``prepare`` makes of ``flat``, once for all that give the same ``key`` for the same tensor in turn.

    ``flat`` is ``rows`` as ``[n, width]``; the tensor is known again by ``rows``, as the model handed it over.
    """
    if _last.source is rows and _last.key == key and _last.made is not None:
        return _last.made
    made = prepare(flat)
    _last.source, _last.key, _last.made = rows, key, made
    return made
