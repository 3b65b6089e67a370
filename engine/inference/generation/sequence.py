"""One text in the making: what was asked for, how far it is, and what comes back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from engine.errors import UsageError
from engine.inference.generation.constraints import Constraint
from engine.inference.generation.ends import Ends
from engine.inference.generation.prefix import Prefix
from engine.inference.generation.sampling import Draw, TokenIds, document_generator
from engine.inference.generation.scheduler import Entry
from engine.inference.generation.text import Decode, TextStream
from engine.requests.sampling import SamplingSettings

STOP, END, LENGTH, CANCELLED, GRAMMAR = "stop", "end", "length", "cancelled", "grammar"
"""Finish reasons: a stop text appeared; the model ended its text; max new tokens were reached; taken back; what the text
has to hold to gave up."""


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """A prompt to be continued. ``id`` is unique among those in one generator; ``sha256`` names the document's content.

    ``prompt`` holds the token ids as the model shall see them, special tokens included.
    """

    id: int
    prompt: TokenIds
    settings: SamplingSettings
    sha256: str = ""
    constrain: Callable[[], Constraint] | None = None
    """Makes what its text has to hold to, from the beginning."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a sequence. ``tokens`` are the new ones, without the end token; ``text`` without the stop text.

    ``waited``, ``ttft`` (time to first token) and ``seconds`` in seconds: from adding to admission, from admission to
    the first token (0 when there is none), from admission to the end.
    """

    reason: str
    tokens: tuple[int, ...]
    text: str
    prompt_tokens: int
    prefix_tokens: int
    waited: float
    ttft: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Event:
    """Something about one sequence: ``tokens`` new tokens, the new piece of its ``text``, and its end if it ended."""

    id: int
    tokens: int
    text: str
    finished: Finished | None = None


@dataclass(slots=True, eq=False)
class Running(Entry):
    """A sequence in a generator: the scheduler's entry, its draws, its text."""

    prompt: TokenIds = field(kw_only=True)
    draw: Draw = field(kw_only=True)
    stream: TextStream | None = field(kw_only=True)
    ends: frozenset[int] = field(kw_only=True)
    """Tokens that end a text."""
    asked: int = field(default=0, init=False)
    """Tokens of the prompt itself; ``prompt`` and ``length`` grow by tokens that are computed together with others."""
    prefix: Prefix | None = field(default=None, init=False)
    produced: list[int] = field(default_factory=list, init=False)
    pushed: int = field(default=0, init=False)
    """Tokens that have gone into the text."""
    reported: int = field(default=0, init=False)
    """Tokens that events have told of."""
    reason: str = field(default="", init=False)
    _unsaid: str = field(default="", init=False)
    added: float = field(default_factory=time.perf_counter, init=False)
    admitted: float = field(default=0.0, init=False)
    first: float = field(default=0.0, init=False)

    def accept(self, token: int, *, now: float) -> None:
        """Take the next token in; sets ``reason`` where it ends the sequence by token or length."""
        if not self.first:
            self.first = now
        if token in self.ends:
            self.reason = END
            return
        self.produced.append(token)
        self.draw.accept(token)
        constraint = self.draw.constraint
        if constraint is not None and (constraint.over or constraint.broken):
            self.reason = END if constraint.over else GRAMMAR
        elif len(self.produced) >= self.draw.settings.max_new_tokens:
            self.reason = LENGTH

    def force(self) -> None:
        """Take in the tokens that can only follow, where the text has to hold to something.

        They are computed with the newest one in one go, as a prompt is. At the beginning of a text they become a part of
        the prompt, unless they are all of the text.
        """
        constraint = self.draw.constraint
        if constraint is None or self.reason or not (forced := constraint.forced()):
            return
        room = self.draw.settings.max_new_tokens - len(self.produced)
        over = constraint.over
        if not self.produced and (over or len(forced) >= room):
            constraint.reset()
            return
        for token in forced[:room]:
            self.produced.append(token)
            self.draw.count(token)
        if over and len(forced) <= room:
            self.reason = END
        elif len(forced) >= room:
            self.reason = LENGTH
        else:
            self.prompt = np.concatenate([self.prompt[: self.asked], np.asarray(self.produced, self.prompt.dtype)])
            self.length = len(self.prompt)

    def push(self) -> None:
        """Turn the tokens so far into text; a stop text sets ``reason``."""
        if self.stream is None:
            return
        if fresh := self.produced[self.pushed :]:
            self._unsaid += self.stream.push(fresh)
            self.pushed = len(self.produced)
        if self.stream.stopped:
            self.reason = STOP

    def event(self, *, now: float) -> Event:
        """Return what is new since the last event; with ``reason`` set, it is the last one."""
        finished = self._finish(now) if self.reason else None
        tokens, text = len(self.produced) - self.reported, self._unsaid
        self.reported, self._unsaid = len(self.produced), ""
        return Event(self.id, tokens, text, finished)

    def _finish(self, now: float) -> Finished:
        self.push()
        text = ""
        if self.stream is not None:
            self._unsaid += self.stream.close()
            if self.stream.stopped:
                self.reason = STOP
            text = self.stream.text
        begin = self.admitted or now
        return Finished(
            self.reason,
            tuple(self.produced),
            text,
            self.asked,
            self.shared,
            begin - self.added,
            self.first - begin if self.first else 0.0,
            now - begin,
        )


def make_running(sequence: Sequence, decode: Decode | None, ends: Ends, vocabulary: int) -> Running:
    """Return ``sequence`` ready for a generator; UsageError, written for the user, when it makes no sense."""
    prompt, settings = np.asarray(sequence.prompt), sequence.settings
    if not len(prompt):
        raise UsageError("The prompt is empty: there is nothing to continue.")
    if int(prompt.min()) < 0 or int(prompt.max()) >= vocabulary:
        raise UsageError(
            f"The prompt holds token {int(prompt.max()):,}, and the model knows {vocabulary:,}: "
            "the tokenizer does not belong to this model."
        )
    if settings.stop and decode is None:
        raise UsageError("Stop texts need the model's tokenizer.")
    constraint = sequence.constrain() if sequence.constrain is not None else None
    running = Running(
        sequence.id,
        len(prompt),
        len(prompt) + settings.max_new_tokens,
        prompt=prompt,
        draw=Draw(settings, prompt, document_generator(settings.seed, sequence.sha256), constraint),
        stream=TextStream(decode, (*settings.stop, *ends.texts)) if decode is not None else None,
        ends=ends.tokens,
    )
    running.asked = len(prompt)
    return running
