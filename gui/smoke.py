"""``heddle-desktop --smoke PICTURE``: whether the window works here, shown by running the sample pile in it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from PySide6.QtCore import QElapsedTimer, QObject, QTimer

from gui.banner import Banner
from gui.job import Job
from gui.main_window import MainWindow

PATIENCE = 300.0
"""Seconds that a slow machine may take for the sample pile."""

SETTLE = 500
"""Milliseconds until the window has painted what it was told last."""


class Smoke(QObject):
    """Starts the pile as soon as it and a model are there, saves a picture once it has ended, and closes the window."""

    def __init__(self, window: MainWindow, picture: str, patience: float = PATIENCE) -> None:
        """Begin with the window's event loop; give up after ``patience`` seconds."""
        super().__init__(window)
        self._window, self._picture, self._patience = window, picture, patience
        self._problems: list[str] = []
        self._started = self._saved = False
        self._done = 0
        window.session.noticed.connect(self._noticed)
        self._clock = QElapsedTimer()
        self._clock.start()
        self._timer = QTimer(self)
        self._timer.setInterval(100)
        self._timer.timeout.connect(self._look)
        self._timer.start()

    def report(self, code: int, problems: Sequence[str] = ()) -> int:
        """Say on standard error what went wrong, or on standard output that nothing did; returns the exit code.

        ``code`` is that of the event loop, ``problems`` what is known from elsewhere.
        """
        found = [*self._problems, *problems]
        if not (self._saved or found):
            found.append("The window was closed before the sample pile had ended.")
        for problem in found:
            print(problem, file=sys.stderr)
        if found:
            return code or 1
        print(f"The window ran {self._done} documents; its picture is {self._picture}")
        return code

    def _noticed(self, banners: Sequence[Banner]) -> None:
        self._problems += [banner.text for banner in banners if banner.level == "error"]
        if self._problems:
            self._end()

    def _look(self) -> None:
        session = self._window.session
        job = session.job
        if self._clock.elapsed() > self._patience * 1000:
            model, state = session.model.status, "no pile" if job is None else job.state.status
            self._fail(f"The sample pile has not ended within {self._patience:g} seconds (model: {model}, {state}).")
        elif job is None:
            return
        elif not self._started:
            if session.model.status == "ready" and job.settled and job.count("waiting") and not job.state.adding:
                self._started = True
                self._window.start()
        elif job.state.status == "finished":
            self._finished(job)

    def _finished(self, job: Job) -> None:
        self._done = job.count("done")
        if self._done < job.count():
            self._fail(f"Of the sample pile's {job.count()} documents {self._done} were done.")
            return
        self._timer.stop()
        self._window.pile_panel.view.selectRow(0)
        QTimer.singleShot(SETTLE, self, self._save)

    def _save(self) -> None:
        if self._window.grab().save(self._picture):
            self._saved = True
            self._end()
        else:
            self._fail(f"The picture cannot be written: {self._picture}")

    def _fail(self, problem: str) -> None:
        self._problems.append(problem)
        self._end()

    def _end(self) -> None:
        self._timer.stop()
        self._window.closing.now()
