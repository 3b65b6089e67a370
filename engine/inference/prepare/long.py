"""Long texts on a worker: their edges, their windows one after the other, their tokens counted, never held as a whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.documents.pieces import pieces
from engine.documents.split import OVERLAP
from engine.telemetry.activity import touch

if TYPE_CHECKING:
    from engine.documents.long_text import LongText
    from engine.models.tokenizer import WorkerTokenizer
    from engine.requests.item import TokenIds

PIECE = 200_000
"""Characters of a long text that are tokenized at once: some 20 MB while that lasts."""

EDGE = 8
"""Characters a token that are read at an edge to begin with; where tokens are longer, twice as many, and so on."""

SEAM = 64
"""Tokens behind a cut that may not be those of the whole text."""

Span = tuple[int, int]
Ask = Callable[[], None]
"""Raises Cancelled when the work is not wanted any more."""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a text: its tokens, and the characters that they stand for."""

    ids: TokenIds
    text: str


class _Piece:
    """A piece of a text with its tokens, and where they stand once that is asked for."""

    def __init__(self, text: str, tokenizer: WorkerTokenizer) -> None:
        self.text = text
        self.ids = tokenizer.ids([text])[0]
        self._spans: list[Span] | None = None

    def begin(self, token: int, tokenizer: WorkerTokenizer) -> int:
        """The character that a token begins with."""
        if not token:
            return 0
        spans = self._where(tokenizer)
        return spans[token][0] if spans else token * len(self.text) // len(self.ids)

    def end(self, tokens: int, tokenizer: WorkerTokenizer) -> int:
        """The character behind the first ``tokens`` tokens."""
        if not tokens or tokens >= len(self.ids):
            return len(self.text) if tokens else 0
        spans = self._where(tokenizer)
        return spans[tokens - 1][1] if spans else tokens * len(self.text) // len(self.ids)

    def _where(self, tokenizer: WorkerTokenizer) -> list[Span]:
        if self._spans is None:
            spans = tokenizer.spans(self.text)
            self._spans = spans if len(spans) == len(self.ids) else []
        return self._spans


@dataclass(frozen=True, slots=True)
class Edge:
    """The beginning or end of a text; ``share`` is how much of its characters that is, ``fits`` whether it is all."""

    part: Part
    share: float
    fits: bool


def text_pieces(text: LongText, ask: Ask) -> Iterator[str]:
    """Cut a text into pieces of about PIECE characters that end before white space where there is some."""
    held = ""
    for chunk in text.chunks():
        ask()
        touch()
        held += chunk
        if len(held) > 2 * PIECE:
            *whole, held = pieces(held, PIECE)
            yield from whole
    yield from filter(None, pieces(held, PIECE))


def count(text: LongText, tokenizer: WorkerTokenizer, ask: Ask) -> tuple[int, int]:
    """Return the tokens of a text and how many of them the model does not know."""
    tokens = unknown = 0
    for piece in text_pieces(text, ask):
        ids = tokenizer.ids([piece])[0]
        tokens += len(ids)
        unknown += int(np.count_nonzero(ids == tokenizer.unknown_id))
    return tokens, unknown


def head(text: LongText, tokens: int, tokenizer: WorkerTokenizer, ask: Ask) -> Edge:
    """Return the first ``tokens`` tokens of a text; no more of it is read than that takes."""
    found: list[_Piece] = []
    size = 0
    for piece in text_pieces(text, ask):
        found.append(_Piece(piece, tokenizer))
        size += len(found[-1].ids)
        if size > tokens:
            break
    ids = np.concatenate([piece.ids for piece in found])
    before = "".join(piece.text for piece in found[:-1])
    last = found[-1]
    kept = before + last.text[: last.end(len(last.ids) - max(0, size - tokens), tokenizer)]
    if size <= tokens:
        return Edge(Part(ids, kept), 1.0, fits=True)
    return Edge(Part(ids[:tokens], kept), len(kept) / text.characters, fits=False)


def tail(text: LongText, tokens: int, tokenizer: WorkerTokenizer, ask: Ask) -> Edge:
    """Return the last ``tokens`` tokens of a text; all of it is read, and only its end tokenized."""
    characters = EDGE * (tokens + SEAM)
    while True:
        ask()
        end = text.tail(characters)
        found = [_Piece(piece, tokenizer) for piece in pieces(end, PIECE)]
        ids = np.concatenate([piece.ids for piece in found])
        whole = len(end) == text.characters
        if whole and len(ids) <= tokens:
            return Edge(Part(ids, end), 1.0, fits=True)
        if whole or len(ids) > tokens + SEAM:  # where the end was cut off, the first tokens may be others
            break
        characters *= 2
    left, start = len(ids) - tokens, 0
    for piece in found:
        if left < len(piece.ids):
            start += piece.begin(left, tokenizer)
            break
        left -= len(piece.ids)
        start += len(piece.text)
    return Edge(Part(ids[len(ids) - tokens :], end[start:]), (len(end) - start) / text.characters, fits=False)


class Split:
    """The windows of a text, made as they are wanted; the same as split.windows gives for all of its tokens.

    One worker at a time asks for them, each with a tokenizer of its own.
    """

    def __init__(self, text: LongText, size: int, *, texts: bool = True, overlap: float = OVERLAP) -> None:
        """Cut ``text`` into windows of ``size`` tokens; without ``texts``, only their tokens are wanted."""
        self.tokens = self.unknown = self.made = 0
        """Tokens read so far, those of them that the model does not know, and windows made."""
        self.share = 0.0
        """Characters read so far, of all."""
        self.done = False
        self._text, self._size, self._texts = text, size, texts
        self._step = max(1, size - int(size * overlap))
        self._pieces = text_pieces(text, lambda: None)
        self._held: deque[_Piece] = deque()
        self._first = 0  # the token that the first held piece begins with
        self._next = 0  # the token that the next window begins with
        self._read = 0

    def windows(self, tokenizer: WorkerTokenizer, least: int, ask: Ask) -> list[Part]:
        """Return the next windows, of ``least`` tokens or more together unless the text ends before; sets ``done``."""
        found: list[Part] = []
        while sum(len(part.ids) for part in found) < least:
            while self.tokens <= self._next + self._size:
                ask()
                piece = next(self._pieces, None)
                if piece is None:
                    self.done = True
                    if self.tokens:
                        found.append(self._window(max(0, self.tokens - self._size), self.tokens, tokenizer))
                    self.made += len(found)
                    return found
                self._read += len(piece)
                self.share = self._read / self._text.characters
                made = _Piece(piece, tokenizer)
                self.tokens += len(made.ids)
                self.unknown += int(np.count_nonzero(made.ids == tokenizer.unknown_id))
                self._held.append(made)
            found.append(self._window(self._next, self._next + self._size, tokenizer))
            self._next += self._step
            # The last window reaches back from the end, so as much as a window is kept.
            while self._first + len(self._held[0].ids) <= min(self._next, self.tokens - self._size):
                self._first += len(self._held.popleft().ids)
        self.made += len(found)
        return found

    def _window(self, start: int, stop: int, tokenizer: WorkerTokenizer) -> Part:
        ids: list[TokenIds] = []
        texts: list[str] = []
        place = self._first
        for piece in self._held:
            low, high = max(0, start - place), min(len(piece.ids), stop - place)
            if low < high:
                ids.append(piece.ids[low:high])
                if self._texts:
                    texts.append(piece.text[piece.begin(low, tokenizer) : piece.end(high, tokenizer)])
            place += len(piece.ids)
        return Part(np.concatenate(ids), "".join(texts))


def longer(room: int) -> str:
    """Return the reason of a text that does not fit and must not be cut, and of which no more is known."""
    return (
        f"longer than the window: more than {room:,} tokens, the model takes {room:,}; "
        "choose to split it or to keep its beginning or end"
    )
