"""What the window remembers between starts: one INI file in the data folder."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

from PySide6.QtCore import QByteArray, QSettings

from engine.api import Plan, UsageError, private_files

RECENT = 8
"""How many models and folders are remembered."""


class Settings:
    """Typed access to the INI file. Lists and dicts are JSON, which carries any file name unharmed."""

    def __init__(self, path: str) -> None:
        """Use the INI file at ``path``; it is made when the first value is written."""
        if os.path.isdir(os.path.dirname(path)):
            with contextlib.suppress(OSError):  # a read-only folder: settings are of this start only
                private_files.create_private(path)  # names of folders and models are in it
        self._store = QSettings(path, QSettings.Format.IniFormat)

    def sync(self) -> None:
        """Write what is not on the disk yet."""
        self._store.sync()

    # ------------------------------------------------------------------------------------------------------ raw access
    def text(self, key: str, default: str = "") -> str:
        """Return a string."""
        value = self._store.value(key, default)
        return value if isinstance(value, str) else default

    def set_text(self, key: str, value: str) -> None:
        """Remember a string."""
        self._store.setValue(key, value)

    def data(self, key: str) -> QByteArray:
        """Return bytes such as the geometry of a window; empty when there are none."""
        value = self._store.value(key)
        return value if isinstance(value, QByteArray) else QByteArray()

    def set_data(self, key: str, value: QByteArray) -> None:
        """Remember bytes."""
        self._store.setValue(key, value)

    def json(self, key: str, default: Any) -> Any:
        """Return a JSON value of the same type as ``default``, or ``default`` when there is no good one."""
        try:
            value = json.loads(self.text(key) or "null")
        except ValueError:
            return default
        return value if isinstance(value, type(default)) else default

    def set_json(self, key: str, value: Any) -> None:
        """Remember a JSON value."""
        self._store.setValue(key, json.dumps(value))

    def forget(self, *keys: str) -> None:
        """Remove keys, so that their defaults hold again."""
        for key in keys:
            self._store.remove(key)

    # ---------------------------------------------------------------------------------------------------- what they are
    def plan(self) -> Plan:
        """Return the plan that was chosen last; the default when the file holds none that makes sense."""
        value = self.json("plan", {})
        try:
            return Plan(
                device=str(value.get("device", "cpu")),
                workers=int(value.get("workers", 0)),
                threads=int(value.get("threads", 0)),
                dtype=str(value.get("dtype", "auto")),
                slots=int(value.get("slots", 0)),
            )
        except (UsageError, TypeError, ValueError):
            return Plan()

    def set_plan(self, plan: Plan) -> None:
        """Remember the plan."""
        self.set_json("plan", {name: getattr(plan, name) for name in Plan.__dataclass_fields__})

    def strings(self, key: str) -> list[str]:
        """Return a list of strings, such as the recent models."""
        return [item for item in self.json(key, []) if isinstance(item, str)]

    def remember_first(self, key: str, item: str) -> None:
        """Put ``item`` in front of a list without doubles, at most RECENT long."""
        rest = [other for other in self.strings(key) if other != item]
        self.set_json(key, [item, *rest][:RECENT])
