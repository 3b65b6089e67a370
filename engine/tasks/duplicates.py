"""Near duplicates: texts that say the same in nearly the same words, in groups, with one of each to keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from engine.requests.capability import ENCODE
from engine.requests.request import Encode, Request
from engine.tasks.base import Common, DocumentText, FinishedRow, Outcome, Outputs, Step, vector_output

_BLOCK = 1024
"""Rows that are compared at once: the block's cosines with 100,000 kept rows take 400 MB."""


@dataclass(frozen=True, slots=True)
class DuplicatesSettings(Common):
    """How alike two texts have to be."""

    similarity: float = field(
        default=0.9,
        metadata={
            "label": "Alike from",
            "kind": "number",
            "minimum": 0.0,
            "maximum": 1.0,
            "help": "cosine from which on two texts are duplicates: 1 is the same text, different mails about one matter "
            "reach 0.7 with the starter model",
        },
    )


class Duplicates:
    """Compares all documents of the pile; of texts that are alike the first in the pile is kept."""

    name: ClassVar[str] = "duplicates"
    label: ClassVar[str] = "Find duplicates"
    help: ClassVar[str] = "Texts that are the same or nearly the same, in groups, with the first of each to keep"
    needs: ClassVar[str] = ENCODE
    settings_type: ClassVar[type] = DuplicatesSettings
    place: ClassVar[int] = 3
    keeps_vectors: ClassVar[bool] = True

    def __init__(self, settings: DuplicatesSettings) -> None:
        """Use ``settings``."""
        self.settings = settings

    def prepare_job(self) -> list[Request]:
        """Return nothing: documents are compared with each other."""
        return []

    def start(self, document: DocumentText, job: Outputs) -> Step:  # noqa: ARG002 - as every task
        """Ask for the document's vector."""
        asked = Encode(
            text=document.text, prompt=self.settings.prompt, overflow=self.settings.on_overflow, long=document.long
        )
        return Step((asked,))

    def advance(self, state: dict[str, Any], outputs: Outputs, job: Outputs) -> Outcome:  # noqa: ARG002 - as every task
        """Keep the vector; what it is alike is known once all documents are there."""
        value = _alone()
        return Outcome(value, self.summary(value), vector_output(outputs, "text").vector)

    def finish_job(self, rows: Mapping[int, FinishedRow]) -> Mapping[int, dict[str, Any]]:
        """Return for every row its group, and which kept document it is a duplicate of, with the cosine.

        A document is a duplicate of the kept document that it is most alike, if they are alike enough; otherwise it is
        kept itself. Files with the same bytes are duplicates whatever the model makes of them.
        """
        numbers = [number for number, row in rows.items() if row.vector is not None]
        values = {number: _alone() for number in rows}
        if not numbers:
            return values
        vectors = _unit(np.stack([row.vector for row in rows.values() if row.vector is not None]))
        members: dict[int, list[tuple[int, float]]] = {}
        for number, kept, cosine in _compared(numbers, vectors, rows, self.settings.similarity):
            members.setdefault(kept, []).append((number, cosine))
        for group, (kept, alike) in enumerate(members.items(), 1):
            values[kept] = {**_alone(), "group": group, "size": len(alike) + 1}
            for number, cosine in alike:
                values[number] = {
                    "keep": False,
                    "duplicate_of": rows[kept].name,
                    "similarity": round(min(cosine, 1.0), 4),
                    "group": group,
                    "size": len(alike) + 1,
                }
        return values

    def summary(self, value: dict[str, Any]) -> str:
        """Return whether it is kept, or whose duplicate it is."""
        if not value.get("keep", True):
            return f"duplicate of {value['duplicate_of']} ({value['similarity']:.2f})"
        return f"keep: the first of {value['size']}" if value.get("group") else "keep"


def _alone() -> dict[str, Any]:
    return {"keep": True, "duplicate_of": "", "similarity": None, "group": None, "size": 1}


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Scale each row of ``[n, dimension]`` to length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _compared(
    numbers: list[int], vectors: npt.NDArray[np.float32], rows: Mapping[int, FinishedRow], enough: float
) -> Iterator[tuple[int, int, float]]:
    """Walk the duplicates, in pile order: document, the kept one it is most alike, their cosine."""
    kept: list[int] = []  # places in ``vectors``
    by_content: dict[str, int] = {}
    for start in range(0, len(numbers), _BLOCK):
        block = vectors[start : start + _BLOCK]
        earlier = block @ vectors[kept].T if kept else np.zeros((len(block), 0), np.float32)
        inside = block @ block.T
        here: list[int] = []  # places in the block that are kept
        for place in range(len(block)):
            at = start + place
            first = by_content.setdefault(rows[numbers[at]].sha256 or f"#{at}", at)
            if first != at:
                yield numbers[at], numbers[first], 1.0
                continue
            best, cosine = -1, -1.0
            if kept[: earlier.shape[1]]:
                column = int(earlier[place].argmax())
                best, cosine = kept[column], float(earlier[place, column])
            if here:
                column = int(inside[place, here].argmax())
                if inside[place, here[column]] > cosine:
                    best, cosine = start + here[column], float(inside[place, here[column]])
            if best >= 0 and cosine >= enough:
                by_content[rows[numbers[at]].sha256 or f"#{at}"] = best
                yield numbers[at], numbers[best], cosine
            else:
                here.append(place)
                kept.append(at)
