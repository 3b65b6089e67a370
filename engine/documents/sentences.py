"""Sentences: where they begin and end in a text, in English and its kind and in Chinese and Japanese."""

from __future__ import annotations

import re

_SHORT = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "st",
        "sr",
        "jr",
        "vs",
        "etc",
        "eg",
        "ie",
        "cf",
        "fig",
        "figs",
        "no",
        "nos",
        "vol",
        "pp",
        "ed",
        "eds",
        "inc",
        "ltd",
        "co",
        "corp",
        "dept",
        "est",
        "approx",
        "jan",
        "feb",
        "mar",
        "apr",
        "jun",
        "jul",
        "aug",
        "sep",
        "sept",
        "oct",
        "nov",
        "dec",
        "mon",
        "tue",
        "wed",
        "thu",
        "fri",
        "sat",
        "sun",
        "bzw",
        "ca",
        "usw",
        "bspw",
        "nr",
        "str",
    ]
)
"""What ends in a full stop without ending a sentence."""

_END = re.compile(
    r"[。！？]+[\"'”’」』）)\]]*"  # these end a sentence wherever they stand,
    r"|[!?…]+[\"'”’)\]]*(?=\s|$|[^\x00-\x7f])"  # these before a space, or within Chinese,
    r"|\.+[\"'”’)\]]*(?=\s|$)"  # a full stop before a space
    r"|\n[ \t\r]*\n\s*"  # and so does a blank line,
    r"|\n(?=[ \t]*(?:[-*•·]|\d{1,3}[.)])\s)"  # or a line that begins as a point of a list
)
_WORD = re.compile(r"[^\s\"'“”‘’(\[]+$")
_SPACE = re.compile(r"\s+")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of every sentence of ``text``, in order and without the space around it.

    All that is not space belongs to exactly one of them.
    """
    spans: list[tuple[int, int]] = []
    begin = 0
    for match in _END.finditer(text):
        if match[0].startswith(".") and not _ends(text, match.start(), match.end()):
            continue
        _add(spans, text, begin, match.end())
        begin = match.end()
    _add(spans, text, begin, len(text))
    return spans


def _add(spans: list[tuple[int, int]], text: str, begin: int, end: int) -> None:
    while begin < end and text[begin].isspace():
        begin += 1
    while end > begin and text[end - 1].isspace():
        end -= 1
    if begin < end:
        spans.append((begin, end))


def _ends(text: str, stop: int, end: int) -> bool:
    """Tell whether the full stop at ``stop`` ends a sentence: not behind an abbreviation, an initial or a number of a list, nor before a small letter."""
    word = _WORD.search(text[max(0, stop - 40) : stop])
    before = word[0].replace(".", "").casefold() if word else ""
    if before in _SHORT or (len(before) == 1 and before.isalpha()):
        return False
    line = text[max(0, stop - 40) : stop].rpartition("\n")[2]
    if before.isdecimal() and line.strip() == before:  # the number of a point
        return False
    space = _SPACE.match(text, end)
    following = text[space.end() : space.end() + 1] if space else ""
    return not following.islower()
