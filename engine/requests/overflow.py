"""What becomes of a text that is longer than the model's window."""

from __future__ import annotations

from enum import StrEnum


class Overflow(StrEnum):
    """The user's choice, shown in the row."""

    SPLIT = "split"
    HEAD = "head"
    TAIL = "tail"
    FAIL = "fail"


DEFAULT_OVERFLOW = Overflow.SPLIT.value
"""All of a text is used unless the user says otherwise."""
