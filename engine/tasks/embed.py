"""Embed: one vector a document, for search, clustering and whatever else works on vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from engine.tasks.base import Common, Outcome, Vector


@dataclass(frozen=True, slots=True)
class EmbedSettings(Common):
    """An embedding has no settings of its own."""


class Embed:
    """Keeps the document's vector as the model gave it."""

    name: ClassVar[str] = "embed"
    label: ClassVar[str] = "Embed"
    help: ClassVar[str] = "One vector per document, exported as .npy with an index, or in JSONL"
    settings_type: ClassVar[type] = EmbedSettings
    keeps_vectors: ClassVar[bool] = True

    def __init__(self, settings: EmbedSettings) -> None:
        """Use ``settings``."""
        self.settings = settings

    def anchors(self) -> list[str]:
        """Return nothing: an embedding compares with nothing."""
        return []

    def combine(self, vector: Vector, windows: int, anchors: Vector) -> Outcome:
        """Keep the vector; the row tells its dimension, its length, and in how many windows the text was read."""
        del anchors
        norm = float(np.linalg.norm(vector))
        value = {"dimension": int(vector.shape[0]), "norm": round(norm, 6), "windows": windows}
        return Outcome(value, self.summary(value), vector)

    def summary(self, value: dict[str, Any]) -> str:
        """Return the dimension and, for a long text, the windows."""
        text = f"{value['dimension']} dimensions"
        return f"{text}, mean of {value['windows']} windows" if value.get("windows", 1) > 1 else text
