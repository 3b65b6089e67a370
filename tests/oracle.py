"""The oracle for vectors, sentence-transformers, and texts to ask it with."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np

TEXTS = (
    "The engine started at once.",
    "Water boils at one hundred degrees at the level of the sea, and sooner on the mountain where the air is thin.",
    "bring flour, salt, yeast and warm water together",
    "Error 404: the requested file was not found on this server; see the log for the time and the address.",
    "no",
    "In the interview she said that the work was hard but fair, that the pay came late, and that she would stay.",
    "no",
    "It was raining, the harbour lay grey and still.",
)


def oracle_vectors(folder: str, texts: Sequence[str], **options: Any) -> np.ndarray:
    """Return sentence-transformers' vectors ``[texts, dimension]`` in float32 on the CPU."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder, device="cpu", model_kwargs={"dtype": "float32"})
    return np.asarray(model.encode(list(texts), **options), np.float32)


def engine_vectors(engine: Any, texts: Sequence[str], **settings: Any) -> np.ndarray:
    """Return Heddle's vectors of ``texts`` through a whole job of an engine that has a model."""
    job = uuid.uuid4().hex
    engine.create_job(job)
    engine.add_texts(job, [(str(i), text) for i, text in enumerate(texts)]).result()
    engine.submit(job, "embed", settings)
    assert engine.wait(job, 120)
    rows = list(engine.journal.results(job))
    assert [record.state for record, _ in rows] == ["done"] * len(texts), [record.reason for record, _ in rows]
    return np.stack([np.frombuffer(result.vector, "<f4") for _, result in rows])


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the cosine of each pair of rows."""
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return (left * right).sum(1) / lengths
