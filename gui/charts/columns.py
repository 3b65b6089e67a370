"""The last minute as columns of codes, one byte each: what strips show. Code 0 means "no data"."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEP = 0.2
"""Seconds of one column."""

COUNT = 300
"""Columns that are kept: the last 60 s."""


class Columns:
    """Codes [rows, columns] that scroll to the left as time goes on; the last column is the newest one that is full."""

    def __init__(self, count: int = COUNT, step: float = STEP) -> None:
        """Keep ``count`` columns of ``step`` seconds."""
        self.count = count
        self.step = step
        self.newest = -1
        self.codes = np.zeros((16, count), dtype=np.uint8)

    def advance(self, now: float) -> int:
        """Scroll to ``now`` (seconds of a monotonic clock) and return how many columns are new, all without data."""
        newest = math.floor(now / self.step) - 1
        if self.newest < 0 or newest < self.newest:
            self.newest = newest
            self.codes[:] = 0
            return 0
        fresh = newest - self.newest
        if fresh <= 0:
            return 0
        self.newest = newest
        if fresh >= self.count:
            self.codes[:] = 0
            return self.count
        self.codes[:, :-fresh] = self.codes[:, fresh:]
        self.codes[:, -fresh:] = 0
        return fresh

    def need(self, rows: int) -> None:
        """Have at least ``rows`` rows."""
        missing = rows - len(self.codes)
        if missing > 0:
            self.codes = np.concatenate([self.codes, np.zeros((max(missing, 16), self.count), np.uint8)])

    def clear(self) -> None:
        """Forget everything."""
        self.codes[:] = 0
        self.newest = -1


def fold_columns(codes: NDArray[np.uint8], factor: int, newest: int) -> tuple[NDArray[np.uint8], int]:
    """Average each ``factor`` columns into one, at borders that stay with the data as it scrolls.

    ``newest`` is the running number of the last column. Returns the folded array and how many columns the last fold
    still lacks.
    """
    if factor <= 1:
        return codes, 0
    begun = (newest + 1) % factor
    full = (codes.shape[1] - begun) // factor
    end = codes.shape[1] - begun
    folded = _mean(codes[:, end - full * factor : end].reshape(len(codes), full, factor), axis=2)
    if not begun:
        return folded, 0
    return np.concatenate([folded, _mean(codes[:, end:], axis=1)[:, None]], axis=1), factor - begun


def pick_columns(codes: NDArray[np.uint8], factor: int, newest: int) -> tuple[NDArray[np.uint8], int]:
    """Keep one of each ``factor`` columns, for codes that are names and have no average; else as fold_columns."""
    if factor <= 1:
        return codes, 0
    begun = (newest + 1) % factor
    end = codes.shape[1] - begun
    picked = codes[:, end - 1 :: -factor][:, ::-1] if end else codes[:, :0]
    if not begun:
        return picked, 0
    return np.concatenate([picked, codes[:, -1:]], axis=1), factor - begun


def fold_rows(codes: NDArray[np.uint8], most: int) -> tuple[NDArray[np.uint8], int]:
    """Average neighbouring rows until no more than ``most`` are left; returns them and how many each stands for."""
    factor = -(-len(codes) // max(1, most))
    if factor <= 1:
        return codes, 1
    missing = -len(codes) % factor
    padded = np.concatenate([codes, np.zeros((missing, codes.shape[1]), np.uint8)])
    return _mean(padded.reshape(-1, factor, codes.shape[1]), axis=1), factor


def _mean(codes: NDArray[np.uint8], axis: int) -> NDArray[np.uint8]:
    """Return the rounded mean of the codes that are data, 0 where none is."""
    known = np.count_nonzero(codes, axis=axis)
    total = codes.sum(axis=axis, dtype=np.uint32)
    return np.where(known > 0, np.rint(total / np.maximum(known, 1)), 0).astype(np.uint8)
