"""Very long texts are tokenized in pieces."""

from __future__ import annotations

import re

PIECE = 1_000_000
"""Characters tokenized at once. A tokenizer's bookkeeping takes over a hundred bytes a token, so a very long text is
tokenized in pieces that end at white space, where word-based tokenizers would part anyway."""

_BREAK = re.compile(r"\s")


def pieces(text: str, size: int = PIECE) -> list[str]:
    """Cut ``text`` into pieces of about ``size`` characters, each ending before white space where there is some."""
    result: list[str] = []
    start = 0
    while len(text) - start > size:
        stop = start + size
        # Look back for white space in the last tenth; text without any is cut where it stands.
        for match in _BREAK.finditer(text, stop - size // 10, stop):
            stop = match.start()
        if stop <= start:
            stop = start + size
        result.append(text[start:stop])
        start = stop
    result.append(text[start:])
    return result
