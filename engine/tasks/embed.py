"""Embed: one vector a document, for search, clustering and whatever else works on vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from engine.requests.capability import ENCODE
from engine.requests.request import Encode, Request
from engine.tasks.base import Common, DocumentText, Outcome, Outputs, Step, vector_output


@dataclass(frozen=True, slots=True)
class EmbedSettings(Common):
    """An embedding has no settings of its own."""


class Embed:
    """Keeps the document's vector as the model gave it."""

    name: ClassVar[str] = "embed"
    label: ClassVar[str] = "Embed"
    help: ClassVar[str] = "One vector per document, exported as .npy with an index, or in JSONL"
    needs: ClassVar[str] = ENCODE
    settings_type: ClassVar[type] = EmbedSettings
    place: ClassVar[int] = 0
    keeps_vectors: ClassVar[bool] = True

    def __init__(self, settings: EmbedSettings) -> None:
        """Use ``settings``."""
        self.settings = settings

    def prepare_job(self) -> list[Request]:
        """Return nothing: an embedding compares with nothing."""
        return []

    def start(self, document: DocumentText, job: Outputs) -> Step:  # noqa: ARG002 - as every task
        """Ask for the document's vector."""
        asked = Encode(
            text=document.text,
            prompt=self.settings.prompt,
            overflow=self.settings.on_overflow,
            long=document.long,
        )
        return Step((asked,))

    def advance(self, state: dict[str, Any], outputs: Outputs, job: Outputs) -> Outcome:  # noqa: ARG002 - as every task
        """Keep the vector; the row tells its dimension, its length, and in how many windows the text was read."""
        encoded = vector_output(outputs, "text")
        norm = float(np.linalg.norm(encoded.vector))
        value = {"dimension": int(encoded.vector.shape[0]), "norm": round(norm, 6), "windows": encoded.parts}
        return Outcome(value, self.summary(value), encoded.vector)

    def summary(self, value: dict[str, Any]) -> str:
        """Return the dimension and, for a long text, the windows."""
        text = f"{value['dimension']} dimensions"
        return f"{text}, mean of {value['windows']} windows" if value.get("windows", 1) > 1 else text
