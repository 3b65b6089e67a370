"""Blank texts: nothing in them that anybody could read, such as zero-width spaces or a lone accent."""

from __future__ import annotations

import unicodedata

_SILENT = frozenset(("Cc", "Cf", "Cs", "Zs", "Zl", "Zp", "Mn", "Me"))
"""Categories of characters that show nothing by themselves: controls, formats, spaces, marks that need a letter."""

_FILLERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Hangul fillers and the empty Braille cell: letters and symbols by category, and empty all the same."""

_FIRST = 4096


def is_blank(text: str) -> bool:
    """Tell whether ``text`` has no character that shows: then no tokenizer finds anything to read in it."""
    # The kinds of characters are few, however long the text is; nearly always the first ones tell.
    return not (_shows(text[:_FIRST]) or _shows(text[_FIRST:]))


def _shows(text: str) -> bool:
    return any(character not in _FILLERS and unicodedata.category(character) not in _SILENT for character in set(text))
