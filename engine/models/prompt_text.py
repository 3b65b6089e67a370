"""A prompt as text, with what was put into it told apart from what the template wrote."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

Range = tuple[int, int]
"""Characters (start, stop), stop exclusive."""


@dataclass(frozen=True, slots=True)
class PromptText:
    """The text that the model shall read, and the ranges of it that are ordinary text whatever they spell.

    ``inserted`` are ranges in order, without overlap: the document, a system text, examples. What overlaps one of them
    is no mark of the template. An empty range is a place between two characters that no mark may span.
    """

    text: str
    inserted: tuple[Range, ...]

    @classmethod
    def plain(cls, text: str, own: int = 0) -> PromptText:
        """Return ``text`` as ordinary text but for its first ``own`` characters."""
        return cls(text, ((own, len(text)),) if len(text) > own else ())

    @property
    def end(self) -> str:
        """What the template wrote behind the last text that was put in."""
        return self.text[self.inserted[-1][1] if self.inserted else 0 :]

    def touches(self, start: int, stop: int) -> bool:
        """Tell whether the characters ``start`` to ``stop`` overlap a text that was put in."""
        at = bisect_left(self.inserted, (stop, -1))  # ranges before it begin before stop
        return any(a < stop and b > start for a, b in self.inserted[max(0, at - 2) : at])

    def stretches(self) -> Iterator[tuple[int, int, bool]]:
        """Walk the text as (start, stop, whether the template wrote it), without empty stretches."""
        place = 0
        for start, stop in self.inserted:
            if place < start:
                yield place, start, True
            if start < stop:
                yield start, stop, False
            place = stop
        if place < len(self.text):
            yield place, len(self.text), True

    def cut(self, start: int, stop: int) -> PromptText:
        """Return the characters ``start`` to ``stop`` as a prompt of their own."""
        kept = (
            (max(a, start) - start, min(b, stop) - start)
            for a, b in self.inserted
            if (a < stop and b > start) or start < a == b < stop
        )
        return PromptText(self.text[start:stop], tuple(kept))
