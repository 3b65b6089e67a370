"""What a frozen program is made of, and under which licences: the bill of materials that was packed with it."""

from __future__ import annotations

import json
from pathlib import Path

import assets

NAME = "bill-of-materials.cdx.json"
"""Its name among the assets; a copy that runs from source has none."""


def bill_text(path: Path | None = None) -> str:
    """Return the bill at ``path``, by default that of this program, a line for each part; empty where there is none.

    The file is CycloneDX in JSON. One that cannot be read is told as such.
    """
    if path is None:
        try:
            path = assets.path(NAME)
        except FileNotFoundError:
            return ""
    try:
        with open(path, encoding="utf-8") as file:
            components = json.load(file)["components"]
        lines = [_line(one) for one in components]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{path}: {error}"
    return "\n".join(lines)


def _line(component: dict[str, object]) -> str:
    licences = component.get("licenses")
    names = [str(one["license"]["name"]) for one in licences] if isinstance(licences, list) else []
    return f"{component['name']} {component['version']}: {', '.join(names)}"
