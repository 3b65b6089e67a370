"""The model's chat template: messages to the exact prompt, with every text whole in it and known apart from the marks."""

from __future__ import annotations

import html
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import UsageError
from engine.models.prompt_text import PromptText, Range

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 200_000
"""Characters of a chat template; the longest that are in use have a tenth of it."""

FRAMES = 64
"""Rendered frames that are kept."""

_STAND_INS = range(0x100000, 0x10FFFE)
"""Private characters that stand in for texts. They have no case and are no white space, so that filters leave them."""

_STAND_IN = 12
"""How often a stand-in is repeated."""

_SWITCHES = ("enable_thinking", "thinking")
"""Variables by which templates let thinking be switched off: Qwen3's and most others', and Granite's and DeepSeek's."""

_LIST_SHOWN = re.compile(r"""["']type["']: *["']text["']""")
"""What a template writes that prints a list of content parts where it knows only text."""


SYSTEM, EXAMPLES, DOCUMENT = "the system text", "the examples", "the document"
"""What messages are called where a template leaves one out."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: who speaks, what is said, and what a user calls it."""

    role: str
    text: str
    what: str


class ChatTemplate:
    """Renders conversations with a tokenizer's chat template; belongs to one thread, as the tokenizer does."""

    def __init__(self, tokenizer: Any, marks: Sequence[str]) -> None:
        """Use the template of a transformers tokenizer, whose marks are ``marks``."""
        self._tokenizer = tokenizer
        self._marks = sorted(marks, key=len, reverse=True)
        self._stand_ins = [chr(code) for code in random.SystemRandom().sample(_STAND_INS, 4096)]
        self._frames: dict[Any, list[str | int]] = {}
        self._ways: dict[Any, _Way] = {}

    def thinking_off(self) -> dict[str, Any]:
        """Return the variables that switch thinking off in this template, of those that it asks for."""
        template = self._tokenizer.chat_template
        written = template if isinstance(template, str) else " ".join(map(str, template.values()))
        return {name: False for name in _SWITCHES if re.search(rf"\b{name}\b", written)}

    def render(self, messages: Sequence[Message], options: dict[str, Any]) -> PromptText:
        """Return the prompt; every message is in it, whole.

        A template that leaves a message out is given its text as content parts, and a system text in front of the first
        question. Raises UsageError that names what would be lost all the same, or when the template refuses or is too
        long. transformers runs templates in a sandbox.
        """
        self._check_size()
        way = self._way(messages, options)
        given = way.fold(messages)
        rendered = self._apply(given, way, options)
        if (found := self._fill(given, way, options, rendered)) is not None:
            return found
        if (found := self._transformed(given, way, options, rendered)) is not None:
            return found
        # The template reacts to what a text says, or cuts it. Rendered around stand-ins it sees no text at all, and
        # each is put in whole.
        frame = self._frame(given, way, options, keep=False)
        return _filled(frame, [message.text for message in given])

    # -------------------------------------------------------------------------------------------------- how it is asked
    def _way(self, messages: Sequence[Message], options: dict[str, Any]) -> _Way:
        """Return the first way of asking in which nothing is left out; the same for all conversations of one shape."""
        shape = (tuple(message.role for message in messages), tuple(sorted(options.items())))
        if shape in self._ways:
            return self._ways[shape]
        lost: list[str] = []
        refused: UsageError | None = None
        for way in _WAYS:
            if way.folds and not (len(messages) > 1 and messages[0].role == "system"):
                continue
            given = [Message(message.role, "x", message.what) for message in way.fold(messages)]
            try:
                frame = self._frame(given, way, options, keep=False)
            except UsageError as error:
                refused = refused or error
                continue
            missing = {message.what for at, message in enumerate(given) if at not in frame}
            if way.folds and 0 not in frame:
                missing.add(SYSTEM)
            if way.parts and any(_LIST_SHOWN.search(part) for part in frame if isinstance(part, str)):
                continue
            if not missing:
                self._ways[shape] = way
                return way
            if not lost or len(missing) < len(lost):
                lost = [what for what in dict.fromkeys(message.what for message in messages) if what in missing]
        if not lost:
            assert refused is not None
            raise refused
        what = "Choose another model." if DOCUMENT in lost else "Do without, or choose another model."
        raise UsageError(f"The model's chat template leaves out {' and '.join(lost)}. {what}")

    def _apply(self, messages: Sequence[Message], way: _Way, options: dict[str, Any]) -> str:
        given = [
            {"role": one.role, "content": [{"type": "text", "text": one.text}] if way.parts else one.text}
            for one in messages
        ]
        try:
            return self._tokenizer.apply_chat_template(given, tokenize=False, add_generation_prompt=True, **options)
        except Exception as error:
            raise UsageError(f"The model's chat template cannot be applied: {error}") from error

    def _check_size(self) -> None:
        template = self._tokenizer.chat_template
        size = len(template) if isinstance(template, str) else max(map(len, template.values()), default=0)
        if size > LIMIT:
            raise UsageError(
                f"The model's chat template has {size:,} characters, and no more than {LIMIT:,} are taken. "
                "Download the tokenizer's files again."
            )

    # ------------------------------------------------------------------------------------- what is the template's own
    def _fill(
        self, messages: Sequence[Message], way: _Way, options: dict[str, Any], rendered: str
    ) -> PromptText | None:
        """Return ``rendered`` with the places of its texts, if it is what the template writes around stand-ins."""
        texts = [message.text for message in messages]
        for keep in (True, False):  # once more where the template writes the time
            found = _filled(self._frame(messages, way, options, keep=keep), texts)
            if found.text == rendered:
                return found
        return None

    def _frame(self, messages: Sequence[Message], way: _Way, options: dict[str, Any], *, keep: bool) -> list[str | int]:
        """Return what the template writes around the texts: strings, and numbers of messages between them.

        A text keeps the white space at its ends, which many templates trim, so that the frame is right for it.
        """
        ends = tuple(_ends(message.text) for message in messages)
        key = (tuple(message.role for message in messages), ends, way, tuple(sorted(options.items())))
        if keep and key in self._frames:
            return self._frames[key]
        stand_ins = self._stand_ins[: len(messages)]
        masked = [
            Message(one.role, front + stand_in * _STAND_IN + back if core else one.text, one.what)
            for one, stand_in, (front, core, back) in zip(messages, stand_ins, ends, strict=True)
        ]
        rendered = self._apply(masked, way, options)
        pattern = "|".join(f"{stand_in}{{{_STAND_IN}}}" for stand_in in stand_ins)
        frame: list[str | int] = []
        place = 0
        for match in re.finditer(pattern, rendered):
            frame += [rendered[place : match.start()], stand_ins.index(match[0][0])]
            place = match.end()
        frame.append(rendered[place:])
        if sum(len(front) + len(back) for front, _, back in ends) < 1000:
            while len(self._frames) >= FRAMES:
                self._frames.pop(next(iter(self._frames)))
            self._frames[key] = frame
        return frame

    def _transformed(
        self, messages: Sequence[Message], way: _Way, options: dict[str, Any], rendered: str
    ) -> PromptText | None:
        """Return ``rendered`` where the template changes texts (their case, quotes, HTML), or None if one is not whole.

        Marks inside the texts are broken up by a private character, which is taken out again: where it stood, there is
        no mark.
        """
        breaker = self._unused(messages)
        if breaker is None:
            return None
        marks = self._marks
        broken = [Message(one.role, _broken(one.text, marks, breaker), one.what) for one in messages]
        parts = self._apply(broken, way, options).split(breaker)
        places: list[Range] = []
        place = 0
        for part in parts[:-1]:
            place += len(part)
            places.append((place, place))
        text = "".join(parts)
        found = PromptText(text, tuple(places))
        if (not places and text != rendered) or not all(_whole(one.text, text) for one in messages):
            return None
        # A filter may put a mark together that nobody wrote (lower, replace).
        frame = self._frame(messages, way, options, keep=False)
        expected = sum(_count(marks, part) for part in frame if isinstance(part, str))
        written = sum(_count(marks, text[start:stop]) for start, stop, own in found.stretches() if own)
        return found if written == expected else None

    def _unused(self, messages: Sequence[Message]) -> str | None:
        return next(
            (one for one in reversed(self._stand_ins) if not any(one in message.text for message in messages)), None
        )


@dataclass(frozen=True, slots=True)
class _Way:
    """A way of asking: contents as text or as a list of parts; the system text as a turn or before the first question."""

    parts: bool
    folds: bool

    def fold(self, messages: Sequence[Message]) -> list[Message]:
        """Return the messages as they are given to the template."""
        if not (self.folds and len(messages) > 1 and messages[0].role == "system"):
            return list(messages)
        system, first, *rest = messages
        # Some families know no system role; their makers advise to put its text before the first question.
        return [Message(first.role, f"{system.text}\n\n{first.text}", first.what), *rest]


_WAYS = (_Way(parts=False, folds=False), _Way(parts=True, folds=False), _Way(parts=False, folds=True), _Way(parts=True, folds=True))  # fmt: skip


def _ends(text: str) -> tuple[str, bool, str]:
    """Return the white space before a text, whether there is anything else, and the white space behind it."""
    core = text.strip()
    if not core:
        return "", False, text
    front = len(text) - len(text.lstrip())
    return text[:front], True, text[front + len(core) :]


def _filled(frame: Sequence[str | int], texts: Sequence[str]) -> PromptText:
    """Return ``frame`` with the texts in their places; the white space at their ends is part of the frame."""
    parts: list[str] = []
    ranges: list[Range] = []
    place = 0
    for part in frame:
        piece = part if isinstance(part, str) else texts[part].strip()
        if not isinstance(part, str):
            ranges.append((place, place + len(piece)))
        parts.append(piece)
        place += len(piece)
    return PromptText("".join(parts), tuple(ranges))


def _broken(text: str, marks: Sequence[str], breaker: str) -> str:
    """Return ``text`` with ``breaker`` in every mark that it spells, and where it may hold a part of one.

    A mark may be put together from the end of one text and the beginning of the next.
    """
    if not marks:
        return text
    pattern = "|".join(f"{re.escape(mark[0])}(?={re.escape(mark[1:])})" for mark in marks)
    text = re.sub(pattern, lambda match: match[0] + breaker, text, flags=re.IGNORECASE)
    if any(text.endswith(mark[:n]) for mark in marks for n in range(1, len(mark))):
        text += breaker
    if any(text.startswith(mark[n:]) for mark in marks for n in range(1, len(mark))):
        text = breaker + text
    return text


def _count(marks: Sequence[str], text: str) -> int:
    """Return how many marks ``text`` spells; ``marks`` are the longest first."""
    return len(re.findall("|".join(map(re.escape, marks)), text)) if marks else 0


def _whole(text: str, prompt: str) -> bool:
    """Tell whether ``prompt`` holds all of ``text``, be it in another case, quoted, escaped, or spaced otherwise."""
    text = text.strip()
    return any(form in prompt for form in _forms(text)) or _bare(text) in _bare(prompt)


def _forms(text: str) -> Iterator[str]:
    yield text
    yield from (text.upper(), text.lower(), text.title(), text.capitalize())
    for ascii_only in (False, True):
        yield json.dumps(text, ensure_ascii=ascii_only)[1:-1]
    yield html.escape(text)
    yield html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")


def _bare(text: str) -> str:
    return "".join(text.split())
