"""The end of banners: what a sentence said is taken back, or said anew, once it is no longer true."""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import QObject

from gui.engine_client import EngineState
from gui.escape import shown
from gui.session import Session

PASSING = 60.0
"""Seconds for which something that went well in the end is worth a line."""


class Stale(QObject):
    """Follows a session, and tells through its ``stale`` signal which topics are over."""

    def __init__(
        self, session: Session, parent: QObject | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Listen to ``session``. ``clock`` gives seconds."""
        super().__init__(parent)
        self._session, self._clock = session, clock
        self._cause = ""
        self._passing: dict[str, float] = {}
        self._paused: dict[str, str] = {}
        session.client.died.connect(self._died)
        session.finished.connect(self._finished)
        session.jobs_changed.connect(self._look)
        session.ticked.connect(lambda _snapshot: self._pass())

    def _died(self, _text: str) -> None:
        self._cause = self._session.client.epitaph
        self._end("restarted")

    def _end(self, topic: str) -> None:
        self._passing.pop(topic, None)
        self._session.stale.emit(topic)

    def _finished(self, job: str) -> None:
        for topic in ("restarted", f"job:{job}"):
            self._end(topic)

    def _look(self) -> None:
        """Look at jobs that were resumed, and at those that the engine paused by itself."""
        jobs = self._session.jobs
        for topic in [topic for topic in self._passing if topic.startswith("resumed:")]:
            job = jobs.get(topic.removeprefix("resumed:"))
            if job is None or not job.at_work:
                self._end(topic)
        for number, job in jobs.items():
            why = job.state.message if job.can_resume else ""
            if why != self._paused.get(number, ""):
                self._end(f"paused:{number}")
                self._paused[number] = why
                if why:
                    text = self.tr("'{name}' was paused: {why}").format(name=shown(job.name), why=why)
                    self._session.notice("warning", text, f"paused:{number}")

    def _pass(self) -> None:
        session, now = self._session, self._clock()
        if self._cause and session.client.state == EngineState.READY and session.model.status != "loading":
            cause, self._cause = self._cause, ""
            self._end("engine")
            session.notice("warning", self.tr("{cause} It was started again.").format(cause=cause), "restarted")
            self._passing["restarted"] = now
        for job in session.resumed:
            self._passing.setdefault(f"resumed:{job}", now)
        session.resumed.clear()
        for topic, since in list(self._passing.items()):
            if now - since > PASSING:
                self._end(topic)
