"""Questions as they are typed: read and checked here alone, by the task, its form and the command line."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import UsageError

_NAME = 40
"""Characters of what may be a name before a colon; a longer beginning belongs to its question."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and the name of its column: the question itself where it has no other."""

    name: str
    text: str


def parse_questions(text: str) -> list[Question]:
    """Read questions, one a line, with or without ``name:`` before them.

    Raises UsageError where there is none, or two have the same name.
    """
    found: list[Question] = []
    for line in (line.strip() for line in text.splitlines()):
        if not line:
            continue
        name, colon, asked = (part.strip() for part in line.partition(":"))
        named = bool(colon and name and asked) and len(name) <= _NAME and "?" not in name
        found.append(Question(name, asked) if named else Question(line, line))
    names = [one.name for one in found]
    if not found:
        raise UsageError("Answer needs at least one question, one a line, such as: price: What does it cost?")
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise UsageError(f"The question {twice!r} is there twice; every question needs a name of its own.")
    return found
