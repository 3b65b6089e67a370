"""Where the rows of a strip lie: the one place that bars and labels get their positions from. No Qt in here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_WITH_GAP = 4
"""Pixels of a band from which on bands are told apart by a gap."""


@dataclass(frozen=True, slots=True)
class Band:
    """A row of a strip as it is labelled: its name, its value now, and whether it begins a group."""

    name: str
    value: str = ""
    begins: bool = False


class Bands:
    """``count`` bands of the same height, one below the other, over a field of ``pixels`` device pixels."""

    def __init__(self, count: int, pixels: int) -> None:
        """Divide the field; edges lie on whole pixels."""
        self.count = max(1, count)
        self.pixels = max(1, pixels)
        self.edges: list[int] = np.rint(np.linspace(0, self.pixels, self.count + 1)).astype(int).tolist()

    def middle(self, row: int) -> float:
        """Return the middle of a band in pixels from the top of the field."""
        return (self.edges[row] + self.edges[row + 1]) / 2.0

    def lines(self, breaks: Sequence[int] = ()) -> NDArray[np.intp]:
        """Return for each pixel line the band that it shows, or -1 for the gaps between bands.

        ``breaks`` are bands that begin a group and get a wider gap above them.
        """
        lines = np.repeat(np.arange(self.count, dtype=np.intp), np.diff(self.edges))
        if self.pixels >= self.count * _WITH_GAP:
            lines[self.edges[1:-1]] = -1
            for row in breaks:
                if 0 < row < self.count:
                    lines[self.edges[row] - 1] = -1
        return lines

    def labelled(self, wanted: Sequence[int], apart: float) -> list[int]:
        """Return those of ``wanted`` whose labels fit, ``apart`` pixels each, in order; who comes first is kept."""
        kept: list[int] = []
        for row in wanted:
            if all(abs(self.middle(row) - self.middle(other)) >= apart for other in kept):
                kept.append(row)
        return sorted(kept)
