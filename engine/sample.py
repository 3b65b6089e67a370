"""The sample pile: where it lies, and the task that shows it best."""

from __future__ import annotations

import json
from typing import Any

from assets import path as asset
from engine.errors import UsageError


def sample_order() -> tuple[str, dict[str, Any], list[str]]:
    """Return (task, settings, paths) of the sample pile; raises UsageError if the installation lacks it."""
    try:
        with open(asset("samples", "task.json"), encoding="utf-8") as file:
            told = json.load(file)
    except OSError as error:
        raise UsageError("The sample pile is not part of this installation; install Heddle again.") from error
    labels = "\n".join(f"{label['name']}: {label['description']}" for label in told["labels"])
    return told["task"], {"labels": labels}, [str(asset("samples", "mails"))]
