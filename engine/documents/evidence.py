"""Where a value stands in a text: word for word, or but for case and spaces; numbers however they are written."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"(?<![\w.,])(?<!\w-)[-+\u2212]?\d+(?:[.,]\d+|['\u2019\u00a0\u202f ]\d{3}(?!\d))*")
"""A number with whatever sets its groups and its decimals apart."""

_GROUPS = re.compile(r"['\u2019\u00a0\u202f ]")

Span = tuple[int, int]
"""Characters of a text, from the first to the one behind the last."""


def find_value(text: str, value: str | float) -> Span | None:
    """Return the first place of ``value`` in ``text``; None where it does not stand there.

    A text stands where its words stand in their order, whatever the case and the spaces between them; a place that is
    word for word comes first. A number stands where it is written in English or in European digits, with groups or
    without.
    """
    if isinstance(value, str):
        return _find_text(text, value)
    return next((found.span() for found in _NUMBER.finditer(text) if value in _readings(found[0])), None)


def _find_text(text: str, value: str) -> Span | None:
    wanted = value.strip()
    if not wanted:
        return None
    place = text.find(wanted)
    if place >= 0:
        return place, place + len(wanted)
    words = r"\s+".join(map(re.escape, wanted.split()))
    found = re.search(words, text, re.IGNORECASE)
    return found.span() if found else None


def _readings(written: str) -> set[float]:
    """Return what a number may mean: "1.250" is 1250 to some and 1.25 to others."""
    plain = _GROUPS.sub("", written).replace("\u2212", "-")
    found: set[float] = set()
    for group, decimal in ((",", "."), (".", ",")):
        whole, dot, rest = plain.partition(decimal)
        if decimal in rest or group in rest or not _grouped(whole, group):
            continue
        found.add(float(whole.replace(group, "") + (f".{rest}" if dot else "")))
    return found


def _grouped(whole: str, group: str) -> bool:
    """Tell whether digits are set apart in threes, or not at all."""
    first, *others = whole.lstrip("+-").split(group)
    return not others or (0 < len(first) <= 3 and all(len(one) == 3 for one in others))
