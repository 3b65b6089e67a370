"""The instruction that all prompts of a job begin with: computed once, copied into every slot that needs it."""

from __future__ import annotations

import threading

import numpy as np

from engine.inference.generation.sampling import TokenIds
from engine.inference.generation.slots import Saved


class Prefix:
    """The beginning that the prompts of a job share, computed by the worker that needs it first, then copied by all.

    Shared by the workers of one job. Two workers that start at the same moment may both compute it; one result is kept.
    """

    def __init__(self, ids: TokenIds) -> None:
        """Name the shared tokens; nothing is computed yet."""
        self.ids = np.asarray(ids)
        self._lock = threading.Lock()
        self._saved: Saved | None = None

    @property
    def saved(self) -> Saved | None:
        """The keys and values, once some worker has computed them."""
        return self._saved

    def publish(self, saved: Saved) -> None:
        """Hand the computed prefix to the other workers."""
        with self._lock:
            if self._saved is None:
                self._saved = saved

    def begins(self, prompt: TokenIds) -> bool:
        """Tell whether ``prompt`` begins with the prefix and has at least one token more."""
        n = len(self.ids)
        return 0 < n < len(prompt) and bool(np.array_equal(prompt[:n], self.ids))
