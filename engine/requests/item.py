"""A piece of a request that is ready to run: its tokens, and whose they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.requests.sampling import SamplingSettings

TokenIds = npt.NDArray[np.int32]
"""Token ids of one text, ``[tokens]``, special tokens included."""


@dataclass(frozen=True, slots=True)
class WorkItem:
    """What a worker runs: a request, or one part of a request whose text is longer than the model's window.

    ``document`` is the document's id, ``part`` counts from 0 to ``parts - 1`` within the request with the key
    ``request``; ``skip`` tokens at the start belong to the prompt and stay out of the mean where the model's pooling
    says so.
    """

    document: int
    part: int
    parts: int
    ids: TokenIds
    skip: int = 0
    sha256: str = ""
    """What a text that is drawn at random takes its random numbers from: the document's content, step and part."""
    request: str = ""
    opened: bool = False
    """Whether the prompt ends within a thought, so that the answer begins in one."""
    sampling: SamplingSettings | None = None
    """How the text is made, for items that write one."""
    shared: int = 0
    """Tokens at its beginning that all requests about its document have, where there are several: they are read once."""
    schema: str = ""
    """A JSON schema that the text holds to."""
