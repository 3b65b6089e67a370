"""The models that come with Heddle, in the window: when a task is chosen that one of them cannot do, the other is opened."""

from __future__ import annotations

from PySide6.QtCore import QObject

from gui import words
from gui.abilities import can_do, task_named
from gui.escape import shown
from gui.model_loader import SUPPLIED
from gui.panels.task import TaskPanel
from gui.session import Session


class SuppliedModels(QObject):
    """Follows what the user chooses as the task; a model of the user's own is never closed for it."""

    def __init__(self, session: Session, task: TaskPanel, parent: QObject) -> None:
        """Listen to both."""
        super().__init__(parent)
        self._session, self._task = session, task
        self._asked = False
        task.form_made.connect(self._ask)
        session.model_changed.connect(self._meet)
        session.models_changed.connect(self._meet)

    def _ask(self) -> None:
        self._asked = True
        self._meet()

    def _meet(self) -> None:
        """Open the other one, once for every choice of a task, as soon as it is known what is open and what there is."""
        session, task = self._session, self._task.task
        facts = session.facts
        if not self._asked or not task or facts is None or session.model.status != "ready" or not session.models:
            return
        self._asked = False
        spec = task_named(session.machine_hello, task)
        if can_do(facts, spec) or facts.source not in SUPPLIED or any(job.busy for job in session.jobs.values()):
            return
        other = next((m for m in session.models if m.source in SUPPLIED and m.usable and can_do(m, spec)), None)
        if other is not None:
            advice = " ".join(map(words.engine_text, other.warnings))
            text = self.tr("{model} is opened for this task. {advice}")
            session.notice("info", text.format(model=shown(other.name), advice=advice).strip())
            session.loader.open(other.source)
