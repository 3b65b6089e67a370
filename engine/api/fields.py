"""Fields to extract as they are typed: read and checked here alone, by the task, its form and the command line."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from engine.errors import UsageError

TEXT, NUMBER, WHOLE, YES_NO, DATE, LIST, CHOICE = "text", "number", "whole number", "yes/no", "date", "list", "choice"
FIELDS = "fields"
"""The key in a result's value under which fields are, by name; in exports they have their own names."""

KINDS = (TEXT, NUMBER, WHOLE, YES_NO, DATE, LIST)
"""What a field may be, as it is typed; choices are typed as they are, ``(late | lost | other)``."""

LONGEST = 300
"""Characters of one text value: a field is a fact, not a summary, and a model that repeats itself ends there."""

LARGEST = 2**53
"""Whole numbers are no larger: every program reads those as they are."""

MOST = 50
"""Values of one list."""

_EXAMPLE = "amount (number): the sum to be paid"

_LINE = re.compile(r"(?P<name>[^:(]*?)\s*(?:\((?P<kind>[^()]*)\))?\s*(?::\s*(?P<about>.*))?\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Field:
    """A field: its name, which becomes a column, one of ``KINDS`` or choices, and what belongs in it."""

    name: str
    kind: str = TEXT
    description: str = ""
    choices: tuple[str, ...] = ()

    @property
    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of its value, which is null (or an empty list) where the text does not say."""
        if self.kind == CHOICE:
            return {"enum": [*self.choices, None]}
        if self.kind == LIST:
            return {
                "type": "array",
                "items": {"type": "string", "minLength": 1, "maxLength": LONGEST},
                "maxItems": MOST,
            }
        if self.kind == DATE:
            return {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}
        if self.kind == TEXT:
            return {"anyOf": [{"type": "string", "minLength": 1, "maxLength": LONGEST}, {"type": "null"}]}
        if self.kind == WHOLE:
            return {"type": ["integer", "null"], "minimum": -LARGEST, "maximum": LARGEST}
        return {"type": [{NUMBER: "number", YES_NO: "boolean"}[self.kind], "null"]}


def fact_text(value: Any) -> str:
    """Return an extracted value on one line, as it was found: nothing rounded, lists with commas; empty for none."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(fact_text, value))
    if isinstance(value, str):
        return " ".join(value.split())
    return "" if value is None else json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be extracted: the fields, and the JSON schema that an answer holds to.

    Where the user gave a schema, the fields are its topmost properties: lists, or of kind "" (whatever the schema says).
    """

    fields: tuple[Field, ...]
    schema: dict[str, Any] = field(repr=False)


def parse_fields(text: str) -> Wanted:
    """Read fields from lines of ``name (kind): description``, or a JSON schema of an object.

    Kind and description may be left out. Raises UsageError, with an example, for what is neither.
    """
    if text.lstrip().startswith("{"):
        return _parse_schema(text)
    found: list[Field] = []
    for line in (line.strip() for line in text.splitlines()):
        if line:
            found.append(_parse_line(line))
    names = [one.name for one in found]
    if not found:
        raise UsageError(f"Extract needs at least one field, one a line, such as: {_EXAMPLE}.")
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise UsageError(f"The field {twice!r} is there twice; every field needs a name of its own.")
    schema = {
        "type": "object",
        "properties": {one.name: one.schema for one in found},
        "required": names,
        "additionalProperties": False,
    }
    return Wanted(tuple(found), schema)


def _parse_line(line: str) -> Field:
    parts = _LINE.match(line)
    name = parts["name"].strip() if parts else ""
    if parts is None or not name:
        raise UsageError(
            f"A field is a name, what it is and what belongs in it, such as: {_EXAMPLE}. This is none: {line!r}."
        )
    about, kind = (parts["about"] or "").strip(), parts["kind"]
    if kind is None:
        return Field(name, TEXT, about)
    if "|" in kind:
        choices = tuple(dict.fromkeys(filter(None, (part.strip() for part in kind.split("|")))))
        if len(choices) < 2:
            raise UsageError(f"The field {name!r} needs at least two choices, such as: state (open | paid).")
        return Field(name, CHOICE, about, choices)
    wanted = " ".join(kind.lower().split())
    if wanted not in KINDS:
        raise UsageError(
            f"The field {name!r} is {kind.strip()!r}; it can be {', '.join(KINDS)}, or choices such as (open | paid)."
        )
    return Field(name, wanted, about)


def _parse_schema(text: str) -> Wanted:
    try:
        schema = json.loads(text)
    except ValueError as error:
        raise UsageError(f"What begins with a brace has to be a JSON schema, and it is no JSON: {error}.") from error
    properties = schema.get("properties")
    if schema.get("type") != "object" or not isinstance(properties, dict) or not properties:
        raise UsageError('The JSON schema has to be one of an object with "type": "object" and "properties".')
    return Wanted(tuple(_of_property(name, about) for name, about in properties.items()), schema)


def _of_property(name: str, about: Any) -> Field:
    said: dict[str, Any] = about if isinstance(about, dict) else {}
    return Field(name, LIST if said.get("type") == "array" else "", str(said.get("description", "")))
