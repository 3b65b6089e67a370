"""Untrusted names as text that is safe to look at."""

from __future__ import annotations

import unicodedata

_KEPT = {"\u200c", "\u200d"}
"""Joiners: format characters that scripts and emoji need and that reorder nothing."""

_HIDDEN = {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}
"""Unicode categories that a label would hide, obey or drop: controls, bidi marks, surrogates, line separators."""


def _escaped(char: str) -> str:
    """Return ``char`` as a visible escape when showing it as it is would mislead."""
    if char in _KEPT or unicodedata.category(char) not in _HIDDEN:
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as os.fsdecode carries it
        return f"\\x{code - 0xDC00:02x}"
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char)
    if named:
        return named
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def shown(name: str) -> str:
    r"""Return a file name, path or result as one line of visible text.

    Control characters, bidirectional marks and line breaks become escapes such as ``\n`` and ``\u202e``; bytes that
    are not UTF-8 (lone surrogates, which Qt would drop without a word) become ``\xff``. Everything else is unchanged.
    """
    if name.isprintable():
        return name
    return "".join(map(_escaped, name))


def shown_text(text: str) -> str:
    """Return document text for a plain text view: line breaks, tabs and marks stay, what Qt would drop is escaped."""
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    unsafe = {c for c in set(text) if c not in "\n\t" and unicodedata.category(c) in {"Cc", "Cs"}}
    return text.translate({ord(c): _escaped(c) for c in unsafe}) if unsafe else text
