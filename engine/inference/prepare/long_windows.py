"""The windows of a long text for an encoder: those at an edge, or all of them, some at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.inference.prepare.long import Ask, Part, Split, head, longer, tail
from engine.inference.prepare.ready import NOTHING, Ready
from engine.requests.item import WorkItem
from engine.requests.overflow import Overflow

if TYPE_CHECKING:
    from engine.documents.long_text import LongText
    from engine.models.tokenizer import WorkerTokenizer
    from engine.requests.item import TokenIds

AT_ONCE = 1 << 17
"""Tokens of a long text that are made ready at once."""


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around the tokens of every window, and the ``room`` that it leaves for them."""

    prefix: TokenIds
    front: TokenIds
    suffix: TokenIds
    room: int

    def item(self, number: int, key: str, part: int, parts: int, ids: TokenIds) -> WorkItem:
        """Return a window as an item of work."""
        skip = len(self.front) + len(self.prefix) if len(self.front) else 0
        row = np.concatenate([self.prefix, self.front, ids, self.suffix])
        return WorkItem(number, part, parts, row, skip, request=key)


class WindowRest:
    """The windows of a document that are not made yet."""

    def __init__(self, number: int, key: str, split: Split, around: Around) -> None:
        """Make the windows of ``split`` for the request ``key`` of document ``number``."""
        self._number, self._key, self._split, self._around = number, key, split, around

    @property
    def share(self) -> float:
        """How much of the document has been made into windows."""
        return self._split.share

    def more(self, tokenizer: WorkerTokenizer, ask: Ask) -> Ready:
        """Return the next windows."""
        split = self._split
        first = split.made
        made: list[Part] = split.windows(tokenizer, AT_ONCE, ask)
        if not split.tokens:
            return Ready(reason=NOTHING, tokens=0, nothing=True)
        parts = split.made if split.done else split.made + 1
        items = tuple(
            self._around.item(self._number, self._key, first + n, parts, part.ids) for n, part in enumerate(made)
        )
        unknown = split.unknown / split.tokens
        return Ready(items, split.tokens, unknown, rest=None if split.done else self)


def windows_of(
    number: int, key: str, text: LongText, around: Around, policy: Overflow, tokenizer: WorkerTokenizer, ask: Ask
) -> Ready:
    """Return the windows of a long text as the ``policy`` for what does not fit wants them, or the first of them.

    Of a text that is cut, no more is read than its edge takes: its tokens are not counted (-1), and its coverage is a
    share of characters.
    """
    if policy is Overflow.SPLIT:
        return WindowRest(number, key, Split(text, around.room, texts=False), around).more(tokenizer, ask)
    edge = (tail if policy is Overflow.TAIL else head)(text, around.room, tokenizer, ask)
    ids = edge.part.ids
    if not len(ids):
        return Ready(reason=NOTHING, tokens=0, nothing=True)
    if policy is Overflow.FAIL and not edge.fits:
        return Ready(reason=longer(around.room))
    unknown = float(np.count_nonzero(ids == tokenizer.unknown_id)) / len(ids)
    item = around.item(number, key, 0, 1, ids)
    return Ready((item,), len(ids) if edge.fits else -1, unknown, edge.share)
