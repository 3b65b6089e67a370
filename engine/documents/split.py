"""Token windows: how a text that is longer than the model's window is cut without losing a token."""

from __future__ import annotations

from dataclasses import dataclass

from engine.requests.overflow import Overflow

OVERLAP = 0.1
"""Share of a window that it repeats from the one before, so that a sentence on the border is whole in one of them."""


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens ``start`` to ``stop`` (exclusive) of a text."""

    start: int
    stop: int


def windows(tokens: int, size: int, policy: Overflow = Overflow.SPLIT, overlap: float = OVERLAP) -> list[Window]:
    """Return the windows of at most ``size`` tokens that a text of ``tokens`` tokens is run in.

    Under ``split`` they cover every token; all have full length, the last one reaching further back, so that a mean
    over windows gives no window with three tokens the weight of a full one. ``head`` and ``tail`` keep one window at
    the beginning or end. ``fail`` returns no window for a text that does not fit. Raises ValueError if size < 1.
    """
    if size < 1:
        message = f"a window of {size} tokens holds nothing"
        raise ValueError(message)
    if tokens <= size:
        return [Window(0, tokens)]
    if policy is Overflow.FAIL:
        return []
    if policy is Overflow.HEAD:
        return [Window(0, size)]
    if policy is Overflow.TAIL:
        return [Window(tokens - size, tokens)]
    step = max(1, size - int(size * overlap))
    starts = list(range(0, tokens - size, step))
    return [Window(start, start + size) for start in [*starts, tokens - size]]


def coverage(tokens: int, kept: list[Window]) -> float:
    """Return the share of the text's tokens that some window holds, 0 to 1."""
    if tokens == 0:
        return 1.0
    covered = end = 0
    for window in kept:
        covered += max(0, window.stop - max(window.start, end))
        end = max(end, window.stop)
    return covered / tokens
