"""What the message bar shows: a sentence, what it is about, and what can be done about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Banner:
    """A sentence for the user. ``level``: info, warning, error.

    ``topic`` names what it is about, so that it can be taken back once it is no longer true; one without a topic stays
    until it is dismissed. ``offer`` is the text of a button and what it does.
    """

    level: str
    text: str
    topic: str = ""
    offer: tuple[str, Callable[[], object]] | None = field(default=None, compare=False)
