"""Texts too long to hold: read once to know what they are, and then as often as needed, in chunks."""

from __future__ import annotations

import codecs
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from engine.documents import encodings, escapes
from engine.documents.blank import is_blank
from engine.documents.document import Source
from engine.errors import DocumentError

LARGE = 1 << 20
"""Bytes above which a file is not held as a whole."""

CHUNK = 1 << 18
"""Bytes that are read at once."""

_EXCERPT = 4096
_EXCERPTS = 16
_SWITCHES = (b"\x1b$", b"\x1b(I", b"~{")

Check = Callable[[os.stat_result], None]
"""Raises DocumentError when a file is not the one that was added."""


@dataclass(frozen=True, slots=True)
class LongText:
    """A text that stays in its file: ``characters`` long, of which ``replaced`` stand for bytes without a character."""

    source: Source
    sha256: str
    guess: encodings.Guess
    errors: str
    characters: int
    replaced: int
    open: Callable[[], Iterator[bytes]]

    def chunks(self) -> Iterator[str]:
        """Read the text from its beginning; raises DocumentError when the file is not the same any more."""
        decoder = codecs.getincrementaldecoder(self.guess.encoding)(self.errors)
        for text, _ in _decoded(self.open(), decoder, self.guess.mark):
            yield text

    def head(self, characters: int) -> str:
        """Return the first ``characters`` of the text, or all of it."""
        found = ""
        for text in self.chunks():
            found += text
            if len(found) >= characters:
                break
        return found[:characters]

    def tail(self, characters: int) -> str:
        """Return the last ``characters`` of the text, or all of it."""
        found: list[str] = []
        size = 0
        for text in self.chunks():
            found.append(text)
            size += len(text)
            while size - len(found[0]) >= characters:
                size -= len(found.pop(0))
        return "".join(found)[-characters:]


class BadBytes(Exception):
    """Bytes that are none of the encoding: the first one of them, its place, the encoding."""

    def __init__(self, guess: encodings.Guess, byte: int, offset: int) -> None:
        """Tell of ``byte`` at ``offset`` in the file."""
        super().__init__(guess.encoding, byte, offset)
        self.guess, self.byte, self.offset = guess, byte, offset


class NoText(Exception):
    """No text in any encoding, or a text with NUL characters."""


class Blank(Exception):
    """A text in which nothing shows."""


def examine(source: Source, chosen: str, errors: str, read: Callable[[], Iterator[bytes]]) -> LongText:
    """Return what the file of ``source`` holds, of which ``read`` gives all bytes in chunks; two passes at most.

    ``chosen`` is the codec chosen for the job, "" for none; ``errors`` is ``strict`` or ``replace``. Raises BadBytes,
    NoText, Blank, and what ``read`` raises.
    """
    first = _Look()
    for chunk in read():
        first.take(chunk)
    digest, excerpt = first.digest.hexdigest(), bytes(first.excerpt)
    guess = encodings.bom(excerpt)
    if guess is None and first.is_ascii:
        if chosen.startswith(escapes.FAMILY):
            guess = encodings.Guess(chosen)
        elif chosen not in {"utf-8", "ascii"} and (found := escapes.escaped(excerpt)):
            guess = encodings.Guess(*found)
    if guess is None and first.is_utf8 and not first.has_nul and not encodings.has_controls(excerpt, 0.3):
        guess = encodings.Guess("utf-8")
    if guess is None and chosen and encodings.may_be(chosen, excerpt):
        guess = encodings.Guess(chosen)
    guess = guess or encodings.detect(excerpt)
    if guess is None:
        raise NoText
    characters = replaced = 0
    blank = True
    decoder = codecs.getincrementaldecoder(guess.encoding)(errors)
    ignoring = codecs.getincrementaldecoder(guess.encoding)("ignore")
    try:
        for text, data in _decoded(read(), decoder, guess.mark):
            if "\0" in text or (not characters and encodings.has_controls(text.encode("utf-8", "replace"), 0.3)):
                raise NoText
            characters += len(text)
            blank = blank and is_blank(text)
            if errors != "strict":  # a U+FFFD of the file itself is left when bad bytes are ignored
                replaced += text.count("\ufffd") - ignoring.decode(data).count("\ufffd")
    except _Bad as error:
        raise BadBytes(guess, error.byte, error.offset) from error
    if 2 * replaced > characters:
        raise NoText
    if blank:
        raise Blank
    return LongText(source, digest, guess, errors, characters, replaced, read)


class _Look:
    """What one pass over the bytes tells, and an excerpt of them that an encoding shows in."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.excerpt = bytearray()
        self.is_ascii = self.is_utf8 = True
        self.has_nul = False
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._excerpts = 0

    def take(self, chunk: bytes) -> None:
        self.digest.update(chunk)
        if not self.excerpt:
            self.excerpt += chunk[: encodings.HEAD]
            chunk_rest = chunk[encodings.HEAD :]
        else:
            chunk_rest = chunk
        if b"\0" in chunk:
            self.has_nul = True
            self._add(chunk_rest, chunk_rest.find(b"\0"))
        if not chunk.isascii():
            self.is_ascii = False
            self._add(chunk_rest, encodings.first_high(chunk_rest))
        elif self.is_ascii:
            for switch in _SWITCHES:
                self._add(chunk_rest, chunk_rest.find(switch))
        if self.is_utf8:
            try:
                self._decoder.decode(chunk)
            except UnicodeDecodeError:
                self.is_utf8 = False

    def _add(self, chunk: bytes, place: int) -> None:
        """Take the line at ``place`` into the excerpt."""
        if place < 0 or self._excerpts >= _EXCERPTS:
            return
        self._excerpts += 1
        start = max(chunk.rfind(b"\n", 0, place) + 1, place - 256)
        end = chunk.find(b"\n", place + _EXCERPT)
        self.excerpt += b"\n" + chunk[start : min(end if end >= 0 else place + _EXCERPT, place + 2 * _EXCERPT)]


class _Bad(Exception):
    def __init__(self, byte: int, offset: int) -> None:
        super().__init__(byte, offset)
        self.byte, self.offset = byte, offset


def _decoded(chunks: Iterator[bytes], decoder: codecs.IncrementalDecoder, mark: int) -> Iterator[tuple[str, bytes]]:
    """Decode what comes behind the ``mark``; yields texts with the bytes that brought them; raises _Bad."""
    fed = 0
    last = b""
    for chunk in chunks:
        data = chunk[mark:] if not fed else chunk
        yield _step(decoder, data, max(fed, mark), False), data
        fed += len(chunk)
        last = data
    rest = _step(decoder, b"", fed, True) if last else ""
    if rest:
        yield rest, b""


def _step(decoder: codecs.IncrementalDecoder, data: bytes, offset: int, final: bool) -> str:
    state = decoder.getstate()[0]
    pending = len(state) if isinstance(state, bytes) else 0
    try:
        return decoder.decode(data, final)
    except UnicodeDecodeError as error:
        raise _Bad(error.object[error.start], offset - pending + error.start) from error
    except UnicodeError as error:
        raise DocumentError(f"some bytes cannot be decoded: {error}") from error
