"""Making ``Generate`` requests ready: one prompt, or one for each part of a text that is too long. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.documents.split import Window, coverage, windows
from engine.errors import UsageError
from engine.inference.generation.thought import left_open
from engine.inference.prepare.long import Part, Split, head, longer, tail
from engine.inference.prepare.long_windows import AT_ONCE
from engine.inference.prepare.ready import NOTHING, Ready, Wanted, too_long
from engine.requests.item import TokenIds, WorkItem
from engine.requests.overflow import Overflow
from engine.requests.request import Generate
from engine.telemetry.activity import narrow

if TYPE_CHECKING:
    from engine.documents.long_text import LongText
    from engine.models.prompt_text import PromptText
    from engine.models.tokenizer import WorkerTokenizer

SHORTEST_PREFIX = 16
"""Tokens below which a shared beginning is not worth keeping apart."""

SEAM = 8
"""Tokens kept free where a part of a text meets its prompt: there, tokens may merge or part."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """What the model will read for one request.

    ``texts`` are the exact prompts and ``ids`` their tokens, none where the request is refused for ``reason``;
    ``tokens`` are those of the request's own text, ``whole`` those of the prompt about all of it, which may be more
    than the ``room`` that the answer leaves.
    """

    texts: tuple[str, ...]
    ids: tuple[TokenIds, ...]
    tokens: int
    whole: int
    room: int
    unknown_share: float
    coverage: float = 1.0
    reason: str = ""
    opened: bool = False
    """Whether the prompts end within a thought."""


class PromptWriter:
    """Writes prompts with one tokenizer; belongs to one thread, as the tokenizer does."""

    def __init__(self, tokenizer: WorkerTokenizer, longest: int, *, closed: bool = False) -> None:
        """Keep prompt and answer within ``longest`` tokens; ``closed`` ends prompts as an encoder wants them."""
        self._tokenizer, self._longest, self._closed = tokenizer, longest, closed
        self._around: dict[tuple[object, ...], int] = {}

    def room(self, request: Generate) -> int:
        """Return the tokens that the answer leaves for the prompt; raises UsageError where it leaves none."""
        new = request.sampling.max_new_tokens
        if self._longest - new < 1:
            raise UsageError(f"{new:,} new tokens leave no room for a prompt in {self._longest:,}.")
        return self._longest - new

    def check(self, request: Generate) -> None:
        """Raise UsageError where the chat template refuses what the request says, or leaves out some, whatever its text."""
        self.text(request, "text")

    def text(self, request: Generate, text: str) -> PromptText:
        """Return the exact prompt about ``text``, all of the request's or a part of it.

        Raises UsageError where the chat template refuses or leaves out a text.
        """
        with narrow("model", self._tokenizer.name, "prompt"):
            return self._tokenizer.conversation(
                request.system, request.asked(text), request.examples, think=request.think
            )

    def around(self, request: Generate) -> int:
        """Return the tokens of a prompt without the text; computed once for requests that differ in their text only."""
        key = (request.system, request.question, request.examples, request.think)
        if key not in self._around:
            if len(self._around) > 64:  # questions that name files
                self._around.clear()
            self._around[key] = len(self._ids(self.text(request, "")))
        return self._around[key]

    def space(self, request: Generate) -> int:
        """Return the tokens of a text that fit into one prompt when it has to be cut."""
        return self.room(request) - self.around(request) - SEAM

    def write(self, request: Generate) -> Prompts:
        """Return the prompts; a text that does not fit is treated as the request says.

        Raises UsageError where the chat template refuses. Of a long text only the first prompts are returned, and what
        is told of all of it is estimated by its characters.
        """
        if request.long is not None:
            return self._first_of(request, request.long)
        room = self.room(request)
        prompt = self.text(request, request.text)
        whole = self._ids(prompt)
        unknown = float(np.count_nonzero(whole == self._tokenizer.unknown_id)) / max(1, len(whole))
        tokens = max(0, len(whole) - self.around(request))
        opened = bool(left_open(prompt.end))
        if tokens <= SEAM and not len(self._tokenizer.ids([request.text])[0]):
            return Prompts((), (), 0, len(whole), room, unknown, 0.0, NOTHING)
        if len(whole) <= room:
            return Prompts((prompt.text,), (whole,), tokens, len(whole), room, unknown, opened=opened)
        refused = Prompts((), (), tokens, len(whole), room, unknown, 0.0, too_long(len(whole), room))
        spans = self._tokenizer.spans(request.text)
        kept = self._windows(request, len(spans))
        if not kept:
            return refused
        texts = [self.text(request, request.text[spans[w.start][0] : spans[w.stop - 1][1]]) for w in kept]
        ids = [self._ids(text) for text in texts]
        if max(map(len, ids)) > room:
            return refused
        share = coverage(len(spans), kept)
        shown = tuple(text.text for text in texts)
        return Prompts(shown, tuple(ids), tokens, len(whole), room, unknown, share, opened=opened)

    def prepare(self, wanted: Sequence[Wanted], ask: Callable[[], None]) -> list[Ready]:
        """Return what became of each request, in order; ``ask`` raises Cancelled."""
        found: list[Ready] = []
        for one in wanted:
            ask()
            if not isinstance(one.request, Generate):
                raise UsageError("This model writes text; it makes no vectors.")
            found.append(self._ready(one.document, one.request, ask))
        return _shared(wanted, found)

    def _ready(self, document: int, request: Generate, ask: Callable[[], None]) -> Ready:
        if request.long is None:
            found = self.write(request)
            return self.items(document, request, found, 0, len(found.ids))
        found, split = self.begin(request, request.long, ask)
        if split is None:
            return self.items(document, request, found, 0, len(found.ids))
        first = self.items(document, request, found, 0, split.made + 1)
        return replace(first, rest=PromptRest(self, document, request, split), coverage=1.0)

    def beside(self, tokenizer: WorkerTokenizer) -> PromptWriter:
        """Return one that writes the same prompts with another thread's ``tokenizer``."""
        return PromptWriter(tokenizer, self._longest, closed=self._closed)

    def _first_of(self, request: Generate, long: LongText) -> Prompts:
        found, _ = self.begin(request, long, _never, least=1)
        used = sum(map(len, found.ids)) - self.around(request) * len(found.ids)
        if found.tokens >= 0:
            whole = found.tokens
        elif found.ids:
            whole = round(used / max(found.coverage, 1e-9))
        else:
            whole = found.room + 1
        return replace(found, whole=whole + self.around(request))

    def begin(
        self, request: Generate, long: LongText, ask: Callable[[], None], *, least: int = 0
    ) -> tuple[Prompts, Split | None]:
        """Return the prompts about the edge of a long text, or about its first parts and what makes the others.

        Its tokens are not counted (-1) where it is cut, and its coverage is a share of characters.
        """
        policy, space, room = Overflow(request.overflow), self.space(request), self.room(request)
        if space < 1 or policy is Overflow.FAIL:
            edge = head(long, max(1, room - self.around(request)), self._tokenizer, ask)
            if space < 1 or not edge.fits:
                return Prompts((), (), -1, -1, room, 0.0, 0.0, longer(room)), None
            return self._parts(request, [edge.part], len(edge.part.ids), 1.0), None
        if policy is Overflow.SPLIT:
            split = Split(long, space)
            made = split.windows(self._tokenizer, least or AT_ONCE, ask)
            found = self._parts(request, made, split.tokens, 1.0 if split.done else split.share)
            return found, None if split.done or found.reason else split
        edge = (tail if policy is Overflow.TAIL else head)(long, space, self._tokenizer, ask)
        return self._parts(request, [edge.part], len(edge.part.ids) if edge.fits else -1, edge.share), None

    def go_on(self, request: Generate, split: Split, ask: Callable[[], None]) -> Prompts:
        """Return the prompts about the next parts of a long text."""
        return self._parts(request, split.windows(self._tokenizer, AT_ONCE, ask), split.tokens, 1.0)

    def _parts(self, request: Generate, parts: Sequence[Part], tokens: int, share: float) -> Prompts:
        """The prompts about some parts of a long text."""
        room = self.room(request)
        if not any(len(part.ids) for part in parts):
            return Prompts((), (), 0, 0, room, 0.0, 0.0, NOTHING)
        made = [self.text(request, part.text) for part in parts]
        ids = [self._ids(text) for text in made]
        if max(map(len, ids)) > room:
            return Prompts((), (), tokens, -1, room, 0.0, 0.0, longer(room))
        read = np.concatenate(ids)
        unknown = float(np.count_nonzero(read == self._tokenizer.unknown_id)) / max(1, len(read))
        shown, opened = tuple(text.text for text in made), bool(left_open(made[0].end))
        return Prompts(shown, tuple(ids), tokens, -1, room, unknown, share, opened=opened)

    @staticmethod
    def items(document: int, request: Generate, found: Prompts, first: int, parts: int) -> Ready:
        """Return prompts as items, the ``first`` of them and those behind it of ``parts``."""
        if found.reason:
            return Ready(tokens=found.tokens, reason=found.reason, nothing=found.reason == NOTHING)
        # Each part draws its random numbers from a seed of its own.
        items = tuple(
            WorkItem(
                document,
                first + part,
                parts,
                ids,
                sha256=request.seed if parts == 1 else f"{request.seed}:{first + part}",
                request=request.key,
                opened=found.opened,
                sampling=request.sampling,
                schema=request.schema,
            )
            for part, ids in enumerate(found.ids)
        )
        return Ready(items, found.tokens, found.unknown_share, found.coverage)

    def _windows(self, request: Generate, tokens: int) -> list[Window]:
        policy = Overflow(request.overflow)
        space = self.space(request)
        return [] if policy is Overflow.FAIL or space < 1 or not tokens else windows(tokens, space, policy)

    def _ids(self, prompt: PromptText) -> TokenIds:
        return self._tokenizer.prompt_ids(prompt, closed=self._closed)


def _shared(wanted: Sequence[Wanted], found: list[Ready]) -> list[Ready]:
    """Say of requests about one document, each with one prompt, how much of the beginning they have in common."""
    together: dict[int, list[int]] = {}
    for at, (one, ready) in enumerate(zip(wanted, found, strict=True)):
        if len(ready.items) == 1 and ready.rest is None:
            together.setdefault(one.document, []).append(at)
    for places in together.values():
        if len(places) < 2:
            continue
        prompts = [found[at].items[0].ids for at in places]
        length = common_beginning(prompts)
        if length >= SHORTEST_PREFIX:
            for at in places:
                found[at] = replace(found[at], items=(replace(found[at].items[0], shared=length),))
    return found


def common_beginning(prompts: Sequence[TokenIds]) -> int:
    """Return how many tokens all prompts begin with, fewer than the shortest has."""
    shortest = min(map(len, prompts))
    same = np.ones(shortest, bool)
    for ids in prompts[1:]:
        same &= ids[:shortest] == prompts[0][:shortest]
    return int(np.argmin(same)) if not same.all() else shortest - 1


class PromptRest:
    """The prompts about a long text that are not made yet."""

    def __init__(self, writer: PromptWriter, document: int, request: Generate, split: Split) -> None:
        """Go on with ``split``, as ``writer`` began."""
        self._writer, self._document, self._request, self._split = writer, document, request, split

    @property
    def share(self) -> float:
        """How much of the text has been made into prompts."""
        return self._split.share

    def more(self, tokenizer: WorkerTokenizer, ask: Callable[[], None]) -> Ready:
        """Return the next prompts."""
        first = self._split.made
        found = self._writer.beside(tokenizer).go_on(self._request, self._split, ask)
        parts = self._split.made if self._split.done else self._split.made + 1
        made = self._writer.items(self._document, self._request, found, first, max(2, parts))
        return made if self._split.done or found.reason else replace(made, rest=self)


def _never() -> None:
    pass
