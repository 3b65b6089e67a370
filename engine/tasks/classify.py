"""Classify: the user's own labels, zero-shot: the label whose description lies closest to the document."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from engine.api.labels import parse_labels
from engine.errors import DocumentError
from engine.requests.capability import ENCODE
from engine.requests.overflow import Overflow
from engine.requests.request import Encode, Request
from engine.requests.setting import setting
from engine.store.agreement import RIGHT, TRUTH, same_label
from engine.tasks.base import Common, DocumentText, Outcome, Outputs, Step, vector_output


@dataclass(frozen=True, slots=True)
class ClassifySettings(Common):
    """The labels, and when to admit that the document fits none of them well."""

    labels: str = field(
        default="",
        metadata={
            "label": "Labels",
            "kind": "labels",
            "required": True,
            "help": "one label a line as 'name: description', or just names separated by commas",
        },
    )
    threshold: float = field(
        default=0.0,
        metadata={
            "label": "Unsure below score",
            "kind": "number",
            "minimum": -1.0,
            "maximum": 1.0,
            "help": "a document whose best cosine is lower is marked unsure",
        },
    )
    margin: float = field(
        default=0.02,
        metadata={
            "label": "Unsure below margin",
            "kind": "number",
            "minimum": 0.0,
            "maximum": 2.0,
            "help": "a document whose two best labels lie closer together is marked unsure",
        },
    )
    truth: str = setting(
        "",
        "Column with the right label",
        "text",
        "of a table whose labels are known: the column that has them, to see how many are found; empty: none",
        placeholder="NAME",
    )


class Classify:
    """Compares the document's vector with the vector of every label's description."""

    name: ClassVar[str] = "classify"
    label: ClassVar[str] = "Classify"
    help: ClassVar[str] = "Sort documents into your own labels; no training needed"
    needs: ClassVar[str] = ENCODE
    settings_type: ClassVar[type] = ClassifySettings
    place: ClassVar[int] = 1

    def __init__(self, settings: ClassifySettings) -> None:
        """Read the labels from ``settings``; raises UsageError if they make no sense."""
        self.settings = settings
        self.labels = parse_labels(settings.labels)

    def prepare_job(self) -> list[Request]:
        """Return the label descriptions; one longer than the window keeps its beginning, no label needs more."""
        return [
            Encode(key=str(number), text=label.description, prompt=self.settings.prompt, overflow=Overflow.HEAD.value)
            for number, label in enumerate(self.labels)
        ]

    def start(self, document: DocumentText, job: Outputs) -> Step:  # noqa: ARG002 - as every task
        """Ask for the document's vector; raises DocumentError for a row without the column of the right label."""
        truth = self._truth(document)
        asked = Encode(
            text=document.text,
            prompt=self.settings.prompt,
            overflow=self.settings.on_overflow,
            long=document.long,
        )
        return Step((asked,), {TRUTH: truth} if truth else {})

    def _truth(self, document: DocumentText) -> str:
        name = " ".join(self.settings.truth.split())
        if not name or not document.columns:
            return ""
        if name not in document.columns:
            raise DocumentError(
                f"its row has no column {name!r} with the right label; it has {', '.join(document.columns)}"
            )
        return document.columns[name].strip()

    def advance(self, state: dict[str, Any], outputs: Outputs, job: Outputs) -> Outcome:
        """Score every label by the cosine between its description and the document.

        Where the right label is known, it is the ``truth``, and ``right`` tells whether it was found. ``label`` is the best one, ``margin`` its lead over the second; ``unsure`` marks a document whose best score or
        margin is below the user's limits.
        """
        encoded = vector_output(outputs, "text")
        vector = encoded.vector
        labels = np.stack([vector_output(job, str(number)).vector for number in range(len(self.labels))])
        lengths = np.linalg.norm(labels, axis=1) * max(float(np.linalg.norm(vector)), 1e-12)
        scores = (labels @ vector) / np.maximum(lengths, 1e-12)
        order = np.argsort(-scores, kind="stable")
        best, second = int(order[0]), int(order[1])
        margin = float(scores[best] - scores[second])
        value = {
            "label": self.labels[best].name,
            "score": round(float(scores[best]), 6),
            "margin": round(margin, 6),
            "unsure": bool(scores[best] < self.settings.threshold or margin < self.settings.margin),
            "scores": {label.name: round(float(score), 6) for label, score in zip(self.labels, scores, strict=True)},
            "windows": encoded.parts,
        }
        if truth := state.get(TRUTH):
            value |= {TRUTH: truth, RIGHT: same_label(truth, self.labels[best].name)}
        return Outcome(value, self.summary(value))

    def summary(self, value: dict[str, Any]) -> str:
        """Return the label with its score, or that the document is unsure and what it is closest to."""
        if value.get("unsure"):
            return f"unsure (closest: {value['label']} {value['score']:.2f})"
        return f"{value['label']} {value['score']:.2f}"
