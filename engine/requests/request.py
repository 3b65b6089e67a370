"""Requests: one unit of inference each, as a task asks for it. They hold no job and can be sent to another process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from engine.requests.capability import ENCODE, GENERATE
from engine.requests.overflow import DEFAULT_OVERFLOW
from engine.requests.sampling import SamplingSettings

if TYPE_CHECKING:
    from engine.documents.long_text import LongText


@dataclass(frozen=True, slots=True, kw_only=True)
class Encode:
    """The vector of ``text``; ``key`` tells the requests of one step apart.

    ``prompt`` is a text put before it, or the name of one of the model's own prompts; empty takes the model's default.
    ``overflow`` is a value of ``overflow.Overflow``: what becomes of a text longer than the model's window.
    """

    capability: ClassVar[str] = ENCODE

    key: str = "text"
    text: str = ""
    prompt: str = ""
    overflow: str = DEFAULT_OVERFLOW
    long: LongText | None = None
    """A text that is too long to hold; ``text`` is empty then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generate:
    """A text written about ``text``, which stands between the pieces of ``question`` and may be cut by ``overflow``.

    ``system`` and ``examples`` (questions and their answers) come before it; ``seed`` stands for the content that random
    numbers are drawn for.
    """

    capability: ClassVar[str] = GENERATE

    key: str = "text"
    text: str = ""
    question: tuple[str, ...] = ("", "")
    system: str = ""
    examples: tuple[tuple[str, str], ...] = ()
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    overflow: str = DEFAULT_OVERFLOW
    seed: str = ""
    think: bool = True
    """Whether the model may think first; without, it is asked not to, where its template knows how."""
    schema: str = ""
    """A JSON schema, as text, that the answer holds to; without one it is free."""
    long: LongText | None = None
    """A text that is too long to hold; ``text`` is empty then."""

    def asked(self, text: str) -> str:
        """Return the question with ``text`` (all of the request's or a part of it) in its places."""
        return text.join(self.question)


Request = Encode | Generate
