"""The engine's pools of helpers, by purpose: what never returns in one of them holds up none of the others."""

from __future__ import annotations

from engine.telemetry.helpers import Helpers

ADVANCING = 16
"""Tasks that are advanced at once."""

LOOK_UPS = 32
"""Look-ups under way at once. What does not come back is one less until its engine is replaced."""

WAITS = 32
"""Commands that wait for workers at once."""


class Pools:
    """A thread for each call: a dead disk, or an endless template, costs one thread."""

    def __init__(self) -> None:
        """Start no thread yet."""
        self.tasks = Helpers("helpers", ADVANCING)
        """Tasks are advanced here, beside the coordinator."""
        self.answers = Helpers("answers", LOOK_UPS)
        """Answers that need the journal only."""
        self.looks = Helpers("answers", LOOK_UPS)
        """Answers that need files of others: models, documents, exports."""
        self.waits = Helpers("waits", WAITS)

    def shutdown(self) -> None:
        """Take no more calls; threads that are at something end when that does."""
        for helpers in (self.waits, self.answers, self.looks, self.tasks):
            helpers.shutdown(wait=False, cancel_futures=True)
