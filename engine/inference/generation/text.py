"""Text out of tokens as they come: whole characters only, and never a piece of a stop text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Decode = Callable[[Sequence[int]], str]
"""Token ids to text; belongs to one worker (fast tokenizers are not thread-safe)."""

UNFINISHED = "�"
"""What decoders write for bytes that are not a whole character (yet)."""

LONGEST_CHARACTER = 4
"""Tokens that one character may take: the bytes of UTF-8 at most."""

BROKEN = 8
"""Tokens after which an unfinished character counts as broken and is shown as it is."""


class TextStream:
    """The text of one sequence, growing token by token."""

    def __init__(self, decode: Decode, stop: Sequence[str] = ()) -> None:
        """Start empty; the text ends before the first of the ``stop`` texts to appear."""
        self._decode = decode
        self._stop = tuple(stop)
        self._reach = max((len(s) for s in self._stop), default=1) - 1
        self._tokens: list[int] = []
        self._text = ""
        self._from = self._to = 0
        """Tokens from ``_from`` on are decoded together; the text of those before ``_to`` is in ``_text``."""
        self._shown = 0
        self.stopped = False
        """Whether a stop text has appeared."""

    @property
    def text(self) -> str:
        """The text that is certain: whole characters, nothing that a stop text may begin with."""
        return self._text[: self._shown]

    def push(self, tokens: Sequence[int]) -> str:
        """Take ``tokens`` in and return the new piece of text; after ``stopped`` there is none."""
        if not self._stop:
            self._tokens.extend(tokens)
            return self._grow(finish=False)
        # One by one: the text between two tokens decides whether a stop text ends before the second.
        new = ""
        for token in tokens:
            if self.stopped:
                break
            self._tokens.append(token)
            new += self._grow(finish=False)
        return new

    def close(self) -> str:
        """Return what was held back, now that nothing follows."""
        if self.stopped:
            return ""
        new = self._grow(finish=True)
        return new + self._show(len(self._text))

    def _grow(self, *, finish: bool) -> str:
        # The tokens before the new ones are decoded along with them, as some decoders treat the first one differently.
        known = self._decode(self._tokens[self._from : self._to])
        upto = len(self._tokens)
        both = self._decode(self._tokens[self._from :])
        if not finish:
            upto, both = self._whole(upto, both)
            if len(both) <= len(known):
                return ""
        searched = max(0, len(self._text) - self._reach)
        self._text += both[len(known) :]
        self._from, self._to = self._to, upto
        found = [place for s in self._stop if (place := self._text.find(s, searched)) >= 0]
        if found:
            self.stopped = True
            self._text = self._text[: min(found)]
            return self._show(len(self._text))
        return self._show(len(self._text) - self._held())

    def _whole(self, upto: int, both: str) -> tuple[int, str]:
        """Go back from token ``upto`` to where a character ends; returns that place and the text before it."""
        if not both.endswith(UNFINISHED):
            return upto, both
        for place in range(upto - 1, max(self._to, upto - LONGEST_CHARACTER), -1):
            text = self._decode(self._tokens[self._from : place])
            if not text.endswith(UNFINISHED):
                return place, text
        return (self._to, "") if upto - self._to < BROKEN else (upto, both)

    def _held(self) -> int:
        """Return how many characters at the end may be the beginning of a stop text."""
        longest = 0
        for stop in self._stop:
            for n in range(min(len(stop) - 1, len(self._text)), longest, -1):
                if self._text.endswith(stop[:n]):
                    longest = n
                    break
        return longest

    def _show(self, upto: int) -> str:
        new = self._text[self._shown : upto]
        self._shown = max(self._shown, upto)
        return new
