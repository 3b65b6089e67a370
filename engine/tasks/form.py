"""Forms that a model fills in: reading them, whole or cut, and asking for them around a text."""

from __future__ import annotations

import json
import math
from typing import Any

from engine.requests.setting import setting


def instructions_setting() -> Any:
    """Return the field of a task's settings that says what else the model should know."""
    return setting("", "Instructions", "multiline", "what else the model should know, such as: amounts are in euros")


def asked_besides(instructions: str) -> str:
    """Return what is asked behind everything else for the instructions, which may be empty."""
    return f"\n\n{instructions.strip()}" if instructions.strip() else ""


def around(words: str, **more: str) -> tuple[str, ...]:
    """Return the pieces of a question around the text."""
    before, _, after = words.partition("{text}")
    return before, after.format_map(more)


def read_form(text: str) -> tuple[dict[str, Any], bool]:
    """Return the values of a form and whether it is whole; of one that was cut, the values before the cut."""
    try:
        whole = json.loads(text, parse_float=_finite)
    except ValueError:
        return _plain(_begun(text)), False
    return (_plain(whole), True) if isinstance(whole, dict) else ({}, False)


def _finite(written: str) -> float:
    """Return a number; raises ValueError for one that no float holds, such as 1e999."""
    if not math.isfinite(value := float(written)):
        raise ValueError(f"{written} is too large")
    return value


def _plain(value: Any) -> Any:
    """Return a value whose texts have a UTF-8 form: a model may escape half of a character."""
    if isinstance(value, dict):
        return {_plain(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _begun(text: str) -> dict[str, Any]:
    decoder = json.JSONDecoder(parse_float=_finite)
    found: dict[str, Any] = {}
    place = text.find("{") + 1
    try:
        while place:
            name, place = decoder.raw_decode(text, _over(text, place, " \t\r\n,"))
            value, place = decoder.raw_decode(text, _over(text, place, " \t\r\n:"))
            if _over(text, place, " \t\r\n") >= len(text):
                break  # a number may go on behind the cut
            found[str(name)] = value
    except ValueError:
        pass
    return found


def _over(text: str, place: int, characters: str) -> int:
    while place < len(text) and text[place] in characters:
        place += 1
    return place
