"""What all charts share about their axes: the window of time, and steps of the value axis that do not jitter."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW = 60.0
"""Seconds that every chart shows."""


def nice(value: float) -> float:
    """Return the smallest of 1, 2, 5, 10, 20, 50, ... (and 0.1, 0.2, 0.5) that is not below ``value``."""
    if value <= 0.1:
        return 0.1
    power = 10.0 ** math.floor(math.log10(value))
    for step in (1.0, 2.0, 5.0):
        if value <= step * power * (1.0 + 1e-9):
            return step * power
    return 10.0 * power


class Scale:
    """The top of a value axis: grows at once, shrinks only when less has been enough for ``hold`` seconds."""

    def __init__(self, least: float = 1.0, step: Callable[[float], float] = nice, hold: float = 4.0) -> None:
        """Start at ``least``, the lowest top there is; ``step`` rounds a value up to a top."""
        self.least = least
        self.hold = hold
        self.top = least
        self._step = step
        self._since = math.inf

    def update(self, now: float, highest: float) -> bool:
        """Take the highest value on show at time ``now`` (seconds); return whether the top changed."""
        wanted = max(self.least, self._step(highest)) if math.isfinite(highest) else self.least
        if wanted == self.top:
            self._since = math.inf
            return False
        if wanted < self.top:
            self._since = min(self._since, now)
            if now - self._since < self.hold:
                return False
        self.top = wanted
        self._since = math.inf
        return True

    def reset(self) -> None:
        """Go back to the lowest top."""
        self.top = self.least
        self._since = math.inf
