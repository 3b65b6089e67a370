"""The format of a prompt: where ``{text}`` and its kind stand. All other braces are text."""

from __future__ import annotations

import re
from collections.abc import Mapping

from engine.errors import UsageError

COLUMN = "column:"
"""Begins the name of a field that stands for a column of the document's row in a table: ``{column:Sender}``."""

_TOKEN = re.compile(r"\{\{|\{column:(?P<column>[^{}\n]{1,100})\}|\{(?P<name>[^\W\d]\w*)(?P<end>\}?)|[{}]")


class PromptFormat:
    """A prompt as it was typed, cut into text and the names of fields; made once per job."""

    def __init__(self, text: str, fields: tuple[str, ...], where: str) -> None:
        """Read ``text``, which may name ``fields``; raises UsageError that begins with ``where``.

        With COLUMN among ``fields``, it may name any column of a table, since which there are is known row by row.

        A field is a name in braces and nothing else: no format, no conversion, no attribute. ``{{`` and the ``}}`` that
        belongs to it stand for single braces, as they always did; braces that hold no name are text, so that JSON may
        stand in a prompt as it is.
        """
        self._parts: list[tuple[str, str]] = []
        """Text, and the name of the field behind it (empty behind the last)."""
        known = ", ".join(f"{{{name}NAME}}" if name == COLUMN else f"{{{name}}}" for name in fields)
        doubled: list[bool] = []
        written: list[str] = []
        place = 0
        while (match := _TOKEN.search(text, place)) is not None:
            written.append(text[place : match.start()])
            place = match.end()
            name = match["name"]
            if match["column"] and COLUMN in fields:
                self._parts.append(("".join(written), COLUMN + " ".join(match["column"].split())))
                written = []
            elif match["column"]:
                written.append(match[0])
            elif name and match["end"]:
                if name not in fields:
                    raise UsageError(f"{where} names {{{name}}}; it can name {known}. Write {{{{ for a brace.")
                self._parts.append(("".join(written), name))
                written = []
            elif name in fields:
                shown = text[match.start() : match.start() + 40].partition("\n")[0]
                raise UsageError(
                    f"{where} has a field with something else in its braces: {shown} - it can name {known}, with nothing "
                    "but the name. Write {{ for a brace."
                )
            elif match[0] == "{{":
                doubled.append(True)
                written.append("{")
            elif match[0] == "}":
                was_doubled = doubled.pop() if doubled else True
                if was_doubled and text.startswith("}", place):
                    place += 1
                written.append("}")
            else:
                doubled.append(False)
                written.append(match[0])
        self._parts.append(("".join([*written, text[place:]]), ""))
        self.names = frozenset(name for _, name in self._parts if name)
        """The fields that the prompt names."""
        self.columns = tuple(sorted(name.removeprefix(COLUMN) for name in self.names if name.startswith(COLUMN)))
        """The columns among them."""

    def around(self, field: str, values: Mapping[str, str]) -> tuple[str, ...]:
        """Return the pieces of the prompt around ``field``, one more than it stands there, with the other fields' values."""
        pieces = [""]
        for text, name in self._parts:
            pieces[-1] += text
            if name == field:
                pieces.append("")
            elif name:
                pieces[-1] += values[name]
        return tuple(pieces)

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the prompt with the fields' values, which are put in as they are."""
        return "".join(part for text, name in self._parts for part in (text, values[name] if name else ""))
