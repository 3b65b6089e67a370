"""What is asked before a run: the exact prompt, a trial on one document, the tokens of the pile."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, Signal

from engine.api import CountTokens, Preview, Reply, Snapshot, StopTrial, TaskSpec, Trial, TrialState
from gui.abilities import can_do
from gui.panels.task import TaskPanel
from gui.session import Session


class Previewer(QObject):
    """Asks the engine about the shown pile and the chosen task.

    ``trial_changed`` comes with the growing text and at the end of a trial; ``counted`` when the pile's tokens are known.
    """

    trial_changed = Signal()
    counted = Signal()

    def __init__(self, session: Session, task: TaskPanel, parent: QObject | None = None) -> None:
        """Ask with what ``task`` has chosen and filled in."""
        super().__init__(parent)
        self._session, self._task = session, task
        self.trial: TrialState | None = None
        """The trial under way, as far as it is."""
        self.trying = -1
        """The document of the trial that was asked for and has not been answered, -1 for none."""
        self.tried = -1
        """The document of the last trial that ended, -1 for none."""
        self.outcome: dict[str, Any] = {}
        """What came of the last trial; an ``error`` where the engine refused it."""
        self.counts: dict[str, Any] = {}
        """The pile's tokens, and what the task will do with documents that are too long; empty until known."""
        self._asked = 0
        self._count_key = ""
        self._count_request = -1
        session.ticked.connect(self._take)
        session.current_changed.connect(self._forget)

    @property
    def spec(self) -> TaskSpec | None:
        """The chosen task."""
        return self._task.form.spec if self._task.form is not None else None

    def obstacle(self, *, prompt: bool) -> str:
        """Return why there is no trial, or no ``prompt``, now, as what to do next; "" when there is."""
        spec, session = self.spec, self._session
        if spec is None or (prompt and not spec.writes):
            return self.tr("This task has no prompt of yours. Choose a task that writes, such as Generate.")
        if session.model.status != "ready":
            return self.tr("Open a model first.")
        if not can_do(session.facts, spec):
            return self.tr("This model cannot do this task; choose another model or task.")
        problems = self._task.problems()
        return problems[0] if problems else ""

    # ----------------------------------------------------------------------------------------------------------- the prompt
    def preview(self, document: int, then: Callable[[Reply], None]) -> int:
        """Ask for the exact prompt about a document; returns the request id."""
        return self._session.client.send(
            Preview,
            then,
            job=self._session.current,
            document=document,
            task=self._task.task,
            settings=self._task.values(),
        )

    # ------------------------------------------------------------------------------------------------------------ the trial
    def try_on(self, document: int) -> None:
        """Run the task on one document; its row stays as it is."""
        self.trying, self.tried, self.trial, self.outcome = document, -1, None, {}

        def answered(reply: Reply) -> None:
            if reply.request != self._asked:
                return
            self.trying, self.trial, self.tried = -1, None, document
            self.outcome = reply.value if reply.ok else {"error": reply.error}
            self.trial_changed.emit()

        self._asked = self._session.client.send(
            Trial,
            answered,
            job=self._session.current,
            document=document,
            task=self._task.task,
            settings=self._task.values(),
        )
        self.trial_changed.emit()

    def stop_trial(self) -> None:
        """End the trial that is under way."""
        self._session.client.send(StopTrial, lambda _reply: None)

    def _take(self, snapshot: Snapshot) -> None:
        if self.trying >= 0 and snapshot.trial != self.trial and snapshot.trial is not None:
            self.trial = snapshot.trial
            self.trial_changed.emit()

    def _forget(self) -> None:
        """Another pile is shown: what was tried belongs to the one before."""
        if self.trying >= 0:
            self.stop_trial()
        self._asked, self.trying, self.tried, self.trial, self.outcome = 0, -1, -1, None, {}
        self._count_key, self._count_request, self.counts = "", -1, {}
        self.trial_changed.emit()
        self.counted.emit()

    # ----------------------------------------------------------------------------------------------------------- the tokens
    def look(self) -> None:
        """Count the tokens of the shown pile if something about it has changed; called twice a second."""
        session = self._session
        job = session.job
        spec = self.spec
        if (
            job is None
            or spec is None
            or job.at_work
            or job.state.adding
            or job.asked
            or session.model.status != "ready"
            or not session.client.alive
            or self._task.problems()
            or not can_do(session.facts, spec)
        ):
            return
        waiting = job.count("waiting")
        values = self._task.values()
        hello = session.machine_hello
        engine = hello.pid if hello is not None else 0
        key = json.dumps([engine, job.id, session.model.folder, session.plan_in_use.dtype, waiting, spec.name, values])
        if key == self._count_key:
            return
        self._count_key = key
        if not waiting:
            self.counts = {}
            self.counted.emit()
            return

        def answered(reply: Reply) -> None:
            if reply.request == self._count_request and reply.ok:
                self.counts = reply.value
                self.counted.emit()

        self._count_request = session.client.send(CountTokens, answered, job=job.id, task=spec.name, settings=values)
