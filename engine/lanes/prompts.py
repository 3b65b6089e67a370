"""The prompts about one document: one, or one for each part of a document that is too long for the model. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from engine.activity import narrow
from engine.documents.split import Overflow, Window, coverage, windows
from engine.encoding.batches import TokenIds, WorkItem
from engine.errors import UsageError
from engine.generation.thought import left_open
from engine.lanes.long import Part, Split, head, longer, tail
from engine.lanes.reading import NOTHING, Document, too_long
from engine.lanes.work import Prepared

if TYPE_CHECKING:
    from engine.documents.long_text import LongText
    from engine.models.prompt_text import PromptText
    from engine.models.tokenizer import LaneTokenizer
    from engine.tasks.base import TextTask

SEAM = 8
"""Tokens kept free where a part of a text meets its prompt: there, tokens may merge or part."""

AT_ONCE = 1 << 15
"""Tokens of a long text that are made into prompts at once."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """What the model will read about one document.

    ``texts`` are the exact prompts and ``ids`` their tokens, none where the document is refused for ``reason``;
    ``tokens`` are those of the document's own text, ``whole`` those of the prompt about all of it, which may be more
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
    """Writes prompts of one task with one tokenizer; belongs to one thread, as the tokenizer does."""

    def __init__(self, task: TextTask, tokenizer: LaneTokenizer, longest: int, *, closed: bool = False) -> None:
        """Keep prompt and answer within ``longest`` tokens; ``closed`` ends prompts as an encoder wants them.

        Raises UsageError when the answer leaves no room for a prompt.
        """
        self.task = task
        self.room = longest - task.settings.max_new_tokens
        self._tokenizer, self._closed = tokenizer, closed
        self._around: int | None = None
        if self.room < 1:
            raise UsageError(f"{task.settings.max_new_tokens:,} new tokens leave no room for a prompt in {longest:,}.")

    def check(self) -> None:
        """Raise UsageError where the chat template refuses the task's texts or leaves one out, whatever the document."""
        self.text(Document(0, "text", "name", ""), "text")

    def beside(self, tokenizer: LaneTokenizer) -> PromptWriter:
        """Return one that writes the same prompts with another thread's ``tokenizer``."""
        longest = self.room + self.task.settings.max_new_tokens
        return PromptWriter(self.task, tokenizer, longest, closed=self._closed)

    def text(self, document: Document, text: str) -> PromptText:
        """Return the exact prompt about ``text``, all of the document's or a part of it.

        Raises UsageError where the chat template refuses or leaves out a text.
        """
        name = document.path.replace("\\", "/").rsplit("/", 1)[-1]
        question = self.task.question(text, name, document.path)
        examples = self.task.examples(name, document.path)
        think = getattr(self.task.settings, "thinking", "") != "off"
        with narrow("model", self._tokenizer.name, "prompt"):
            return self._tokenizer.conversation(self.task.settings.system, question, examples, think=think)

    def around(self, document: Document) -> int:
        """Return the tokens of a prompt without the document's text; the same for all unless the prompt names files."""
        if self._around is None or self.task.names_files:
            self._around = len(self._ids(self.text(document, "")))
        return self._around

    def space(self, document: Document) -> int:
        """Return the tokens of a text that fit into one prompt when it has to be cut."""
        return self.room - self.around(document) - SEAM

    def write(self, document: Document) -> Prompts:
        """Return the prompts; a document that does not fit is treated as the task's settings say.

        Raises UsageError where the chat template refuses. Of a long text only the first prompts are returned, and what
        is told of all of it is estimated by its characters.
        """
        if document.long is not None:
            return self._first_of(document, document.long)
        prompt = self.text(document, document.text)
        whole = self._ids(prompt)
        unknown = float(np.count_nonzero(whole == self._tokenizer.unknown_id)) / max(1, len(whole))
        tokens = max(0, len(whole) - self.around(document))
        opened = bool(left_open(prompt.end))
        if tokens <= SEAM and not len(self._tokenizer.ids([document.text])[0]):
            return Prompts((), (), 0, len(whole), self.room, unknown, 0.0, NOTHING)
        if len(whole) <= self.room:
            return Prompts((prompt.text,), (whole,), tokens, len(whole), self.room, unknown, opened=opened)
        refused = Prompts((), (), tokens, len(whole), self.room, unknown, 0.0, too_long(len(whole), self.room))
        spans = self._tokenizer.spans(document.text)
        kept = self._windows(document, len(spans))
        if not kept:
            return refused
        texts = [self.text(document, document.text[spans[w.start][0] : spans[w.stop - 1][1]]) for w in kept]
        ids = [self._ids(text) for text in texts]
        if max(map(len, ids)) > self.room:
            return refused
        share = coverage(len(spans), kept)
        shown = tuple(text.text for text in texts)
        return Prompts(shown, tuple(ids), tokens, len(whole), self.room, unknown, share, opened=opened)

    def _first_of(self, document: Document, long: LongText) -> Prompts:
        found, _ = self.begin(document, long, _never, least=1)
        used = sum(map(len, found.ids)) - self.around(document) * len(found.ids)
        if found.tokens >= 0:
            whole = found.tokens
        elif found.ids:
            whole = round(used / max(found.coverage, 1e-9))
        else:
            whole = self.room + 1
        return replace(found, whole=whole + self.around(document))

    def begin(
        self, document: Document, long: LongText, ask: Callable[[], None], *, least: int = 0
    ) -> tuple[Prompts, Split | None]:
        """Return the prompts about the edge of a long text, or about its first parts and what makes the others.

        Its tokens are not counted (-1) where it is cut, and its coverage is a share of characters.
        """
        policy = Overflow(self.task.settings.on_overflow)
        space = self.space(document)
        if space < 1 or policy is Overflow.FAIL:
            edge = head(long, max(1, self.room - self.around(document)), self._tokenizer, ask)
            if space < 1 or not edge.fits:
                return Prompts((), (), -1, -1, self.room, 0.0, 0.0, longer(self.room)), None
            return self._parts(document, [edge.part], len(edge.part.ids), 1.0), None
        if policy is Overflow.SPLIT:
            split = Split(long, space)
            made = split.windows(self._tokenizer, least or AT_ONCE, ask)
            found = self._parts(document, made, split.tokens, 1.0 if split.done else split.share)
            return found, None if split.done or found.reason else split
        edge = (tail if policy is Overflow.TAIL else head)(long, space, self._tokenizer, ask)
        return self._parts(document, [edge.part], len(edge.part.ids) if edge.fits else -1, edge.share), None

    def go_on(self, document: Document, split: Split, ask: Callable[[], None]) -> Prompts:
        """Return the prompts about the next parts of a long text."""
        return self._parts(document, split.windows(self._tokenizer, AT_ONCE, ask), split.tokens, 1.0)

    def _parts(self, document: Document, parts: Sequence[Part], tokens: int, share: float) -> Prompts:
        """The prompts about some parts of a long text."""
        if not any(len(part.ids) for part in parts):
            return Prompts((), (), 0, 0, self.room, 0.0, 0.0, NOTHING)
        made = [self.text(document, part.text) for part in parts]
        ids = [self._ids(text) for text in made]
        if max(map(len, ids)) > self.room:
            return Prompts((), (), tokens, -1, self.room, 0.0, 0.0, longer(self.room))
        read = np.concatenate(ids)
        unknown = float(np.count_nonzero(read == self._tokenizer.unknown_id)) / max(1, len(read))
        shown, opened = tuple(text.text for text in made), bool(left_open(made[0].end))
        return Prompts(shown, tuple(ids), tokens, -1, self.room, unknown, share, opened=opened)

    def _windows(self, document: Document, tokens: int) -> list[Window]:
        policy = Overflow(self.task.settings.on_overflow)
        space = self.space(document)
        return [] if policy is Overflow.FAIL or space < 1 or not tokens else windows(tokens, space, policy)

    def _ids(self, prompt: PromptText) -> TokenIds:
        return self._tokenizer.prompt_ids(prompt, closed=self._closed)


def prepare_document(writer: PromptWriter, document: Document, ask: Callable[[], None] | None = None) -> Prepared:
    """Return the prompts about one document as work items; each part draws its random numbers from a seed of its own.

    Of a long text the first ones are returned, with what makes the others; ``ask`` may raise in between.
    """
    if document.long is None:
        found = writer.write(document)
        return _items(document, found, 0, len(found.ids))
    found, split = writer.begin(document, document.long, ask or _never)
    if split is None:
        return _items(document, found, 0, len(found.ids))
    return replace(_items(document, found, 0, split.made + 1), rest=PromptRest(writer, document, split), coverage=1.0)


class PromptRest:
    """The prompts about a long document that are not made yet."""

    def __init__(self, writer: PromptWriter, document: Document, split: Split) -> None:
        """Go on with ``split``, as ``writer`` began."""
        self._writer, self._document, self._split = writer, document, split

    @property
    def share(self) -> float:
        """How much of the document has been made into prompts."""
        return self._split.share

    def more(self, tokenizer: LaneTokenizer, ask: Callable[[], None]) -> Prepared:
        """Return the next prompts."""
        first = self._split.made
        found = self._writer.beside(tokenizer).go_on(self._document, self._split, ask)
        made = _items(self._document, found, first, self._split.made + 1)
        return made if self._split.done or found.reason else replace(made, rest=self)


def _items(document: Document, found: Prompts, first: int, parts: int) -> Prepared:
    """Prompts as items of work, the ``first`` of them and those behind it of ``parts``."""
    if found.reason:
        skipped = found.reason == NOTHING
        return Prepared(document.number, reason=found.reason, tokens=found.tokens, skipped=skipped)
    items = [
        WorkItem(
            document.number,
            first + part,
            parts,
            ids,
            0,
            document.sha256 if parts == 1 else f"{document.sha256}:{first + part}",
            found.opened,
        )
        for part, ids in enumerate(found.ids)
    ]
    return Prepared(document.number, tuple(items), found.tokens, found.unknown_share, found.coverage)


def _never() -> None:
    pass


def as_text_task(task: object) -> TextTask:
    """Return ``task`` as one that writes; raises UsageError for one that makes vectors."""
    if not getattr(task, "writes", False):
        raise UsageError("Only tasks that write text have a prompt.")
    return cast("TextTask", task)
