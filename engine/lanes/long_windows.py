"""The windows of a long text for an encoder: those at an edge, or all of them, some at a time."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.documents.split import Overflow
from engine.encoding.batches import WorkItem
from engine.errors import Cancelled, DocumentError
from engine.lanes.long import Ask, Part, Split, head, longer, tail
from engine.lanes.reading import NOTHING, let_exits_through, said
from engine.lanes.work import Prepared

if TYPE_CHECKING:
    from engine.documents.long_text import LongText
    from engine.encoding.batches import TokenIds
    from engine.lanes.work import Prepare, Rest
    from engine.models.tokenizer import LaneTokenizer
    from engine.runner import Runner

log = logging.getLogger(__name__)

AT_ONCE = 1 << 17
"""Tokens of a long text that are made ready at once."""


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around the tokens of every window, and the ``room`` that it leaves for them."""

    prefix: TokenIds
    front: TokenIds
    suffix: TokenIds
    room: int

    def item(self, number: int, part: int, parts: int, ids: TokenIds) -> WorkItem:
        """Return a window as an item of work."""
        skip = len(self.front) + len(self.prefix) if len(self.front) else 0
        return WorkItem(number, part, parts, np.concatenate([self.prefix, self.front, ids, self.suffix]), skip)


class WindowRest:
    """The windows of a document that are not made yet."""

    def __init__(self, number: int, split: Split, around: Around) -> None:
        """Make the windows of ``split`` for document ``number``."""
        self._number, self._split, self._around = number, split, around

    @property
    def share(self) -> float:
        """How much of the document has been made into windows."""
        return self._split.share

    def more(self, tokenizer: LaneTokenizer, ask: Ask) -> Prepared:
        """Return the next windows."""
        split = self._split
        first = split.made
        made: list[Part] = split.windows(tokenizer, AT_ONCE, ask)
        if not split.tokens:
            return Prepared(self._number, reason=NOTHING, tokens=0, skipped=True)
        items = tuple(self._around.item(self._number, first + n, split.made, part.ids) for n, part in enumerate(made))
        unknown = split.unknown / split.tokens
        return Prepared(self._number, items, split.tokens, unknown, rest=None if split.done else self)


def windows_of(
    number: int, text: LongText, around: Around, policy: Overflow, tokenizer: LaneTokenizer, ask: Ask
) -> Prepared:
    """Return the windows of a long text as the ``policy`` for what does not fit wants them, or the first of them.

    Of a text that is cut, no more is read than its edge takes: its tokens are not counted (-1), and its coverage is a
    share of characters.
    """
    if policy is Overflow.SPLIT:
        return WindowRest(number, Split(text, around.room, texts=False), around).more(tokenizer, ask)
    edge = (tail if policy is Overflow.TAIL else head)(text, around.room, tokenizer, ask)
    ids = edge.part.ids
    if not len(ids):
        return Prepared(number, reason=NOTHING, tokens=0, skipped=True)
    if policy is Overflow.FAIL and not edge.fits:
        return Prepared(number, reason=longer(around.room))
    unknown = float(np.count_nonzero(ids == tokenizer.unknown_id)) / len(ids)
    item = around.item(number, 0, 1, ids)
    return Prepared(number, (item,), len(ids) if edge.fits else -1, unknown, edge.share)


def make_more(runner: Runner, work: Prepare, rest: Rest, found: list[Prepared], tokenizer: LaneTokenizer) -> None:
    """Fill ``found`` with more parts of the one document of ``work``, or why there are none; nothing when cancelled."""

    def ask() -> None:
        if work.stop():
            raise Cancelled("cancelled")

    number = work.documents[0]
    held = runner.text_of(work.job, number, keep=True)
    if held is None:
        return
    try:
        with runner.board.doing("document", held[0].path, "tokens", job=work.job.id, document=number):
            found.append(rest.more(tokenizer, ask))
    except Cancelled:
        return
    except DocumentError as error:
        found.append(Prepared(number, reason=str(error)))
    except BaseException as error:  # noqa: BLE001 - a text may break the tokenizer (a Rust panic is a BaseException)
        let_exits_through(error)
        log.warning("a long text could not be tokenized: %s", said(error))
        found.append(Prepared(number, reason=f"could not be tokenized: {said(error)}"))
