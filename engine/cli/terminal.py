"""The terminal: what a command prints cannot move the cursor, change colours or turn a line around."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from engine.store.cells import escape

_OWN = "\n\r\t"
"""What our own lines are made of; in names and texts these are written out before they come here (cells.shown)."""


class PlainStream:
    """A text stream in whose place it stands, but for control and bidirectional characters, which it writes out.

    File names, texts of documents, names inside model folders and messages of libraries are untrusted, and this is the
    one place that all of them pass.
    """

    def __init__(self, stream: TextIO) -> None:
        """Write to ``stream``."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write ``text``; returns the characters that were asked for."""
        if not text.isprintable():
            text = "".join(part if part in _OWN else escape(part) for part in _parts(text))
        return self._stream.write(text)

    def writelines(self, lines: Any) -> None:
        """Write each of ``lines``."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _parts(text: str) -> Iterator[str]:
    """Cut ``text`` into single characters of _OWN and what stands between them."""
    start = 0
    for place, character in enumerate(text):
        if character in _OWN:
            yield text[start:place]
            yield character
            start = place + 1
    yield text[start:]


@contextlib.contextmanager
def plain_output() -> Iterator[None]:
    """Let standard output and standard error show nothing but plain text while a command runs."""
    before = sys.stdout, sys.stderr
    try:
        sys.stdout, sys.stderr = (cast("TextIO", stream and PlainStream(stream)) for stream in before)
        yield
    finally:
        sys.stdout, sys.stderr = before
