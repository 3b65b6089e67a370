"""Inputs turned before they become whole numbers, so that no single one of them sets the step of all the others.

Trained models have a few channels that are a hundred times as large as the rest, and a row of int8 has one step. Turned
by a Hadamard matrix, block by block, such a number is spread over its block, in the weight as in the rows, and the
product stays what it was (Ashkboos et al. 2024). Factors a channel, which weights are multiplied by and rows divided by,
bring the channels to one size before that (Xiao et al. 2023).
"""

from __future__ import annotations

import functools

import torch

BLOCK = 32
"""Channels that are turned together. Twice as many cost twice the time and gain little once there are factors."""

_ROWS, _WEIGHT = 0.25, 0.125
"""The matrix of ones is orthogonal up to its size. Powers of two on either side keep bfloat16 exact, and so a row the
same whatever stands beside it."""


@functools.cache
def _ones(dtype: torch.dtype, size: float) -> torch.Tensor:
    """Return the Hadamard matrix ``[BLOCK, BLOCK]`` of numbers +-``size``; it is symmetric."""
    with torch.inference_mode(False):  # what is made in that mode could not be used outside
        made = torch.ones(1, 1)
        while made.shape[0] < BLOCK:
            made = torch.cat((torch.cat((made, made), 1), torch.cat((made, -made), 1)))
        return (made * size).to(dtype)


def _turned(numbers: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    return torch.mm(numbers.reshape(-1, BLOCK), by).view(numbers.shape)


class Turn:
    """How the inputs of a linear are turned: the rows ``[n, in]`` and the weight ``[out, in]``."""

    def __init__(self, factors: torch.Tensor | None, dtype: torch.dtype) -> None:
        """Divide rows, mostly of ``dtype``, by ``factors`` ``[in]``, powers of two, before they are turned; None for 1."""
        self.factors = factors
        self._down = None if factors is None else factors.reciprocal().to(dtype)

    @staticmethod
    def of(inputs: int, factors: torch.Tensor | None, dtype: torch.dtype) -> Turn | None:
        """Return the turn of rows of so many ``inputs``; None where they come to no whole blocks."""
        return None if inputs % BLOCK else Turn(factors, dtype)

    def agrees(self, other: Turn | None) -> bool:
        """Tell whether rows turned for one are turned for the other."""
        if other is None or (self.factors is None) != (other.factors is None):
            return False
        return self.factors is None or other.factors is None or torch.equal(self.factors, other.factors)

    def rows(self, rows: torch.Tensor) -> torch.Tensor:
        """Return rows ``[n, in]`` turned, in their type."""
        return _turned(rows if self._down is None else rows * self._down.to(rows.dtype), _ones(rows.dtype, _ROWS))

    def weight(self, weight: torch.Tensor) -> torch.Tensor:
        """Return float32 rows of a weight ``[n, in]`` turned to fit."""
        return _turned(weight if self.factors is None else weight * self.factors, _ones(weight.dtype, _WEIGHT))

    def back(self, weight: torch.Tensor) -> torch.Tensor:
        """Return what ``weight`` was given, for what it made."""
        made = _turned(weight, _ones(weight.dtype, _ROWS))
        return made if self.factors is None else made.div_(self.factors)

    def parts(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the matrix that rows are turned by, and what they are multiplied by before, for TorchScript."""
        dtype = torch.float32 if self._down is None else self._down.dtype
        return _ones(dtype, _ROWS), self._down
