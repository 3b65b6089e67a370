"""A setting: name, kind, limits, default and help, written once, beside the field that holds it.

Command line, form and checks are made from it. ``same_as`` lets another dataclass hold the same setting.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from engine.errors import UsageError


@dataclass(frozen=True, slots=True)
class Setting:
    """One typed setting, from which the form and the command line are made.

    ``kind``: text, multiline, labels (one ``label: description`` a line), fields (one ``name (kind): description`` a
    line, or a JSON schema), questions (one a line, with or without ``name:`` before it), examples (one ``document => answer`` or JSON
    object a line; a file on the command line), number, integer, switch, choice. ``example`` is a value that works, for a
    form to start with where the default is nothing.
    """

    name: str
    label: str
    kind: str
    default: Any
    help: str = ""
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    required: bool = False
    fields: tuple[str, ...] = ()
    """Of a text that is a format: what it may name in braces (prompt_format.PromptFormat)."""
    example: str = ""
    placeholder: str = ""
    """What stands for a value in the command line's help."""
    aliases: tuple[str, ...] = ()
    """Earlier names of it on the command line."""


def setting(default: Any, label: str, kind: str, help: str, **more: Any) -> Any:  # noqa: A002 - the setting's word
    """Return a dataclass field that is a setting; ``more`` are further fields of ``Setting``, or notes of its owner."""
    return dataclasses.field(default=default, metadata={"label": label, "kind": kind, "help": help, **more})


def same_as(kind: type, name: str, *, default: Any = None) -> Any:
    """Return a dataclass field that is the same setting as the field ``name`` of ``kind``; ``default`` may be another."""
    known = next(item for item in dataclasses.fields(kind) if item.name == name)
    return dataclasses.field(default=known.default if default is None else default, metadata=known.metadata)


@cache
def settings_in(kind: type) -> tuple[Setting, ...]:
    """Return the settings among the fields of a dataclass, in their order."""
    names = {item.name for item in dataclasses.fields(Setting)} - {"name", "default"}
    found: list[Setting] = []
    for item in dataclasses.fields(kind):
        about: Mapping[str, Any] = item.metadata
        if "label" in about:
            default = "" if item.default is dataclasses.MISSING else item.default
            found.append(Setting(item.name, default=default, **{n: about[n] for n in names & about.keys()}))
    return tuple(found)


def named(given: object, kind: type) -> dict[str, Any]:
    """Return what ``given`` has for the settings of ``kind``, by name."""
    return {one.name: getattr(given, one.name) for one in settings_in(kind)}


def check(one: Setting, value: Any, whose: str) -> Any:
    """Return ``value`` in the setting's type; raises UsageError that names ``whose`` setting it is and what it takes."""
    where = f"{whose}: {one.label}"
    if one.required and not str(value).strip():
        raise UsageError(f"{where} is needed. {one.help[:1].upper()}{one.help[1:]}.")
    if one.kind == "switch":
        if not isinstance(value, bool):
            raise UsageError(f"{where} is either on or off, not {value!r}.")
        return value
    if one.kind in ("number", "integer"):
        try:
            number = int(value) if one.kind == "integer" else float(value)
        except (TypeError, ValueError):
            raise UsageError(f"{where} has to be a number, not {value!r}.") from None
        low = -math.inf if one.minimum is None else one.minimum
        high = math.inf if one.maximum is None else one.maximum
        if not low <= number <= high:
            raise UsageError(f"{where} has to be between {low:g} and {high:g}, not {number:g}.")
        return number
    if not isinstance(value, str):
        raise UsageError(f"{where} has to be text, not {value!r}.")
    if one.kind == "choice" and value not in one.choices:
        raise UsageError(f"{where} has to be one of {', '.join(one.choices)}, not {value!r}.")
    return value


def check_all(given: object, whose: str) -> None:
    """Raise UsageError for the first setting among the fields of ``given`` that makes no sense."""
    for one in settings_in(type(given)):
        check(one, getattr(given, one.name), whose)
