"""What the window has to say in its message bar, and what of it is no longer true."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, Signal

from engine.api import Notice, Reply
from gui.banner import Banner


class Notices(QObject):
    """Sentences on their way to the message bar: ``noticed`` brings banners, ``stale`` takes back those of a topic."""

    noticed = Signal(object)
    stale = Signal(str)

    def say(
        self, level: str, text: str, topic: str = "", offer: tuple[str, Callable[[], object]] | None = None
    ) -> None:
        """Show a sentence of the window's own beside the engine's notices, as Banner says."""
        self.noticed.emit([Banner(level, text, topic, offer)])

    def pass_on(self, notices: Sequence[Notice]) -> None:
        """Show what the engine has to say."""
        if notices:
            self.noticed.emit([Banner(notice.level, notice.text) for notice in notices])

    def tell_failure(self, reply: Reply, topic: str = "") -> None:
        """Say that a command failed; one about the same ``topic`` that succeeds takes that back."""
        if reply.ok:
            self.stale.emit(topic)
        elif reply.error:
            self.say("error", reply.error, topic)
