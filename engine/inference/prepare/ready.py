"""A request that was made ready to run, or that is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from engine.requests.item import WorkItem
from engine.requests.request import Request

if TYPE_CHECKING:
    from engine.models.tokenizer import WorkerTokenizer


class Rest(Protocol):
    """The parts of a long text that are not made yet. One worker at a time makes some, with its own tokenizer."""

    @property
    def share(self) -> float:
        """How much of the text has been made into parts."""
        ...

    def more(self, tokenizer: WorkerTokenizer, ask: Callable[[], None]) -> Ready:
        """Return the next parts; the last ones come without a rest. Raises DocumentError, and what ``ask`` raises."""
        ...


@dataclass(frozen=True, slots=True)
class Ready:
    """What became of one request: its items, or the ``reason`` why it does not run.

    ``tokens`` are those of its text, ``unknown_share`` the part of them that the model does not know, ``coverage`` the
    part of the text that is used.
    """

    items: tuple[WorkItem, ...] = ()
    tokens: int = -1
    unknown_share: float = 0.0
    coverage: float = 1.0
    reason: str = ""
    rest: Rest | None = None
    """What makes more items of a long text; ``items`` are the first, or, of work on a rest, some more."""
    nothing: bool = False
    """Whether it is refused because the tokenizer finds nothing to read, as in an empty text."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request of a document that is to be made ready; ``seed`` names what its random numbers are drawn for."""

    document: int
    request: Request


NOTHING = "empty: the model's tokenizer finds nothing to read in it"
"""The reason of a text of which not one token is left, such as accents on their own."""

Prepare = Callable[[Sequence[Wanted], Callable[[], None]], list[Ready]]
"""Makes requests ready, in their order; asks the callable between pieces, which raises Cancelled when nobody wants them."""


def too_long(tokens: int, room: int) -> str:
    """Return the reason of a text that does not fit and must not be cut."""
    return (
        f"longer than the window: {tokens:,} tokens, the model takes {room:,}; "
        "choose to split it or to keep its beginning or end"
    )
