"""Lines that are too long to be laid out in one go: where to break them, and how to shorten them for a label or tip.

Qt lays out a line of text at a cost that grows with the square of its length where it finds no space to wrap at: 100,000
characters take a second. What is shown is therefore made of pieces of bounded length.
"""

from __future__ import annotations

import re
import unicodedata

LIMIT = 2000
"""Characters that one piece has at most; some forty lines of a narrow pane."""

LONGEST_WORD = 40
"""Characters of a word from which on a label in a side panel may break it anywhere."""

BRIEF = 600
"""Characters of a text that a label or a tooltip shows."""

_LOOK_BACK = 200  # characters before the limit in which a space is looked for
_ENDS = re.compile("\r\n|[\n\r\u2029\ufdd0\ufdd1]")  # what Qt takes for the end of a paragraph
_BREAK = "\u200b"  # zero width space: a line may end here


def pieces(text: str, limit: int = LIMIT) -> tuple[list[str], set[int]]:
    """Return the lines of ``text``, none longer than ``limit``, and the numbers of those that go on in the next one.

    A long line is broken after its last space before the limit, else between two characters that do not combine.
    """
    lines: list[str] = []
    soft: set[int] = set()
    for line in _ENDS.split(text):
        begin = 0
        while len(line) - begin > limit:
            end = _place(line, begin + limit)
            soft.add(len(lines))
            lines.append(line[begin:end])
            begin = end
        lines.append(line[begin:])
    return lines, soft


def has_long_word(text: str, limit: int = LIMIT) -> bool:
    """Return whether ``text`` has more than ``limit`` characters in a row at which no line can end."""
    return len(text) > limit and any(len(word) > limit for word in text.split())


def brief(text: str, most: int = BRIEF) -> str:
    """Return at most ``most`` characters of ``text``, with an ellipsis in place of the rest."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def for_label(text: str, *, most: int = BRIEF, word: int = LONGEST_WORD) -> str:
    """Return ``text`` for a label or a tooltip: brief, and words of more than ``word`` characters may be broken."""
    step = max(1, word // 2)
    return re.sub(
        rf"\S{{{word + 1},}}",
        lambda found: _BREAK.join(found.group()[at : at + step] for at in range(0, len(found.group()), step)),
        brief(text, most),
    )


def _place(line: str, end: int) -> int:
    """Return where to break ``line`` at or before ``end``."""
    space = line.rfind(" ", end - _LOOK_BACK, end)
    if space >= 0:
        return space + 1
    # A combining mark, a joiner or a variation selector belongs to the character before it.
    for place in range(end, end - 32, -1):
        if unicodedata.category(line[place])[0] != "M" and "\u200d" not in line[place - 1 : place + 1]:
            return place
    return end
