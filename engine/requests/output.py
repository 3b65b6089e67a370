"""Outputs: what a model made of a request."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model wrote about a text or one part of it; times in seconds, ``ttft`` to the first token."""

    text: str
    reason: str
    prompt_tokens: int
    new_tokens: int
    seconds: float
    ttft: float
    opened: bool = False
    """Whether the prompt ended within a thought, so that the text begins in one."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """The answer to ``Encode``: ``vector`` is float32 ``[dimension]``, the mean of the ``parts`` of a long text."""

    key: str
    vector: npt.NDArray[np.float32]
    parts: int = 1


@dataclass(frozen=True, slots=True)
class Generated:
    """The answer to ``Generate``: one for each part of the text, in their order."""

    key: str
    answers: tuple[Answer, ...]


Output = Encoded | Generated
