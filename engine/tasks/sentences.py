"""Key sentences: those of a document that stand for most of it, word for word, with their places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from engine.documents.sentences import sentence_spans
from engine.errors import DocumentError
from engine.requests.capability import ENCODE
from engine.requests.overflow import Overflow
from engine.requests.request import Encode, Request
from engine.requests.setting import setting
from engine.tasks.base import Common, DocumentText, Outcome, Outputs, Step, vector_output

_MOST = 2000
"""Sentences of a document that are compared; of a longer one, as many evenly from all of it."""

_WEIGHT = 0.7
"""How much likeness to the document counts beside difference from what was chosen (maximal marginal relevance: Carbonell
and Goldstein 1998, lambda)."""

_SAME = 0.95
"""Cosine from which on a sentence says again what was said: it is chosen only when nothing else is left."""


@dataclass(frozen=True, slots=True)
class SentencesSettings(Common):
    """How many."""

    count: int = setting(3, "Sentences", "integer", "how many sentences of each document", minimum=1, maximum=100)


class KeySentences:
    """Compares each sentence's vector with the document's; the next one chosen must also say something else."""

    name: ClassVar[str] = "sentences"
    label: ClassVar[str] = "Key sentences"
    help: ClassVar[str] = "The sentences of each document that say most of it, word for word"
    needs: ClassVar[str] = ENCODE
    settings_type: ClassVar[type] = SentencesSettings
    place: ClassVar[int] = 2

    def __init__(self, settings: SentencesSettings) -> None:
        """Use ``settings``."""
        self.settings = settings

    def prepare_job(self) -> list[Request]:
        """Return nothing: sentences are compared with their document."""
        return []

    def start(self, document: DocumentText, job: Outputs) -> Step:  # noqa: ARG002 - as every task
        """Ask for the vectors of the document and of its sentences; raises DocumentError for one too long to hold."""
        if document.long is not None:
            raise DocumentError("too long for this task: key sentences are looked for in texts of up to 1 MB")
        spans = sentence_spans(document.text)
        step = max(1.0, len(spans) / _MOST)
        compared = [spans[int(place * step)] for place in range(min(len(spans), _MOST))]
        prompt = self.settings.prompt
        whole = Encode(text=document.text, prompt=prompt, overflow=self.settings.on_overflow)
        sentences = [
            Encode(key=str(place), text=document.text[start:end], prompt=prompt, overflow=Overflow.HEAD.value)
            for place, (start, end) in enumerate(compared)
        ]
        texts = [document.text[start:end] for start, end in compared]
        return Step((whole, *sentences), {"spans": compared, "texts": texts, "of": len(spans)})

    def advance(self, state: dict[str, Any], outputs: Outputs, job: Outputs) -> Outcome:  # noqa: ARG002 - as every task
        """Choose sentences; ``text`` has them one a line in the document's order, ``sentences`` each with its place.

        ``start`` and ``end`` count characters of the document: ``text[start:end]`` is the sentence.
        """
        texts, spans = state["texts"], state["spans"]
        if not texts:
            return Outcome(value := {"text": "", "sentences": [], "of": 0}, self.summary(value))
        whole = _unit(vector_output(outputs, "text").vector[None])[0]
        vectors = _unit(np.stack([vector_output(outputs, str(place)).vector for place in range(len(texts))]))
        likeness = vectors @ whole
        chosen = sorted(choose(likeness, vectors, self.settings.count))
        found = [
            {"text": texts[at], "start": spans[at][0], "end": spans[at][1], "score": round(float(likeness[at]), 6)}
            for at in chosen
        ]
        value = {"text": "\n".join(" ".join(texts[at].split()) for at in chosen), "sentences": found, "of": state["of"]}
        if len(texts) < state["of"]:
            value["compared"] = len(texts)
        return Outcome(value, self.summary(value))

    def summary(self, value: dict[str, Any]) -> str:
        """Return the beginning of the sentences on one line."""
        return " ".join(str(value.get("text", "")).split())[:200]


def choose(likeness: npt.NDArray[np.float32], vectors: npt.NDArray[np.float32], count: int) -> list[int]:
    """Return the places of at most ``count`` sentences in the order of choice.

    ``likeness`` ``[n]`` to the document, ``vectors`` ``[n, dimension]`` of length one. Each next one has the most of
    ``0.7 * likeness - 0.3 * its largest cosine with those chosen``; of equals the first in the text. What is the
    same as one of those chosen comes last.
    """
    chosen: list[int] = []
    nearest = np.zeros(len(likeness), np.float32)
    left = np.ones(len(likeness), bool)
    for turn in range(min(count, len(likeness))):
        worth = likeness if not turn else _WEIGHT * likeness - (1 - _WEIGHT) * nearest
        worth = np.where(nearest < _SAME, worth, worth - 4)  # behind all others, whose worth is within -1 and 1
        best = int(np.where(left, worth, -np.inf).argmax())
        chosen.append(best)
        left[best] = False
        cosines = vectors @ vectors[best]
        nearest = cosines if not turn else np.maximum(nearest, cosines)
    return chosen


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
