"""Labels as they are typed: read and checked here alone, by the task, its form and the command line."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import UsageError


@dataclass(frozen=True, slots=True)
class Label:
    """A label and the words that describe what belongs to it."""

    name: str
    description: str


def parse_labels(text: str) -> list[Label]:
    """Read labels from lines of ``name: description``, or from names separated by commas on a single line.

    A label without a description is described by its name. Raises UsageError for fewer than two labels, an empty name
    or a name given twice.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) == 1 and ":" not in lines[0]:
        lines = [part.strip() for part in lines[0].split(",") if part.strip()]
    elif len(lines) == 1:
        # "a: first, b: second" on one line: a comma begins a new label only where another colon follows.
        parts = lines[0].split(",")
        if all(":" in part for part in parts):
            lines = [part.strip() for part in parts]
    labels: list[Label] = []
    for line in lines:
        name, _, description = (part.strip() for part in line.partition(":"))
        if not name:
            raise UsageError(f"A label needs a name before the colon: {line!r}.")
        if any(label.name == name for label in labels):
            raise UsageError(f"The label {name!r} is there twice; every label needs a name of its own.")
        labels.append(Label(name, description or name))
    if len(labels) < 2:
        raise UsageError("Classify needs at least two labels, such as: licence, manual, other.")
    return labels
