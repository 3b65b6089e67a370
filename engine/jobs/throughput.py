"""What was done so far, and how fast of late: documents, tokens, times to the first token."""

from __future__ import annotations

import time
from collections import deque

LEAST_SPAN = 1.0
"""Seconds over which a rate is a mean at least."""


class Throughput:
    """Counts what ends; trials count tokens only."""

    def __init__(self) -> None:
        """Start with nothing done."""
        self.documents = 0
        self.tokens = 0
        self.ttft: deque[float] = deque(maxlen=10_000)
        """Times to the first token of the newest answers, in seconds."""
        self._recent: deque[tuple[float, int, int]] = deque(maxlen=4096)

    def add(self, *, documents: int = 0, tokens: int = 0) -> None:
        """Count documents that ended, and tokens that were computed."""
        self.documents += documents
        self.tokens += tokens
        self._recent.append((time.monotonic(), self.documents, self.tokens))

    def rates(self, window: float = 5.0) -> tuple[float, float]:
        """Return documents/s and tokens/s over the last ``window`` seconds, or since the first of them ended.

        A second at least counts as gone by: a batch ends all at once, and how long it took is not known here.
        """
        now = time.monotonic()
        while self._recent and self._recent[0][0] < now - window:
            self._recent.popleft()
        if len(self._recent) < 2:
            return 0.0, 0.0
        begin, documents, tokens = self._recent[0]
        span = max(now - begin, LEAST_SPAN)
        return (self.documents - documents) / span, (self.tokens - tokens) / span
