"""Start: go on with what is left, or run documents again after a question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QCheckBox, QMessageBox, QWidget

from gui import progress
from gui.closing import question
from gui.escape import shown
from gui.job import Job
from gui.job_list import JobList
from gui.panels.task import TaskPanel
from gui.session import Session


class Starter(QObject):
    """Starts the pile that is shown with the task that is chosen. ``show_task`` brings the task's panel forward."""

    def __init__(
        self, session: Session, job_list: JobList, task: TaskPanel, show_task: Callable[[], None], window: QWidget
    ) -> None:
        """Questions belong to ``window``."""
        super().__init__(window)
        self._session, self._job_list, self._task, self._window = session, job_list, task, window
        self._show_task = show_task

    def start(self) -> None:
        """Run what waits, what was stopped and what was paused; ask whether to run it again when nothing is left."""
        job = self._ready()
        if job is None:
            return
        left = job.count("waiting", "cancelled", "offline") or job.state.adding or job.can_resume
        if not left and job.state.status != "stopping":
            self._ask_again(job, self.tr("Nothing is waiting. Run %Ln documents again?", "", _finished(job)))
        elif job.count("done") and self._changed(job):
            self._ask_which(job)
        else:
            self._session.commands.start(self._task.task, self._task.values())

    def resume(self) -> None:
        """Go on with a pile that was paused, unless the model that is open now cannot do its task: every row would fail."""
        job = self._session.job
        if job is None:
            return
        topic = f"job:{job.id}"
        if problem := progress.mismatch(self._session, job.state.task):
            text = self.tr("'{name}' stays paused. {problem}").format(name=shown(job.name), problem=problem)
            self._session.notice("warning", text, topic)
        else:
            self._session.commands.resume()

    def run_again(self) -> None:
        """Ask whether to run the whole pile again, with what is done."""
        job = self._ready()
        if job is not None:
            self._ask_again(job, self.tr("Run all %Ln documents again?", "", _finished(job) + job.count("waiting")))

    def _ready(self) -> Job | None:
        """Return the shown pile if it can be started; what is wrong with the task is shown."""
        job = self._session.job
        if job is None or progress.obstacle(self._session, self._task.task):
            return None
        if self._task.problems():
            self._show_task()
            self._task.show_problems()
            return None
        return job

    def _changed(self, job: Job) -> bool:
        """Return whether the task is another one than that of the results that are there, where that is known."""
        facts = self._job_list.facts(job.id)
        before = job.submitted or ((facts.task, facts.settings) if facts is not None else ("", {}))
        values = self._task.values()
        same = before[0] == self._task.task and all(values.get(name) == value for name, value in before[1].items())
        return bool(before[0]) and not same

    def _ask_again(self, job: Job, text: str) -> None:
        task, values = self._task.task, self._task.values()
        anyway = QCheckBox(self.tr("Ask the &model again also where the answer is known"))
        question(
            self._window,
            self.tr("Run again?"),
            text,
            self.tr("Their results are replaced. Duplicate the pile or export it first to keep them."),
            self.tr("&Run again"),
            lambda: self._on(job, task, values, again=True, anyway=anyway.isChecked()),
            anyway,
        )

    def _ask_which(self, job: Job) -> None:
        """Ask what becomes of results that another task made: nothing is mixed without a word."""
        task, values = self._task.task, self._task.values()
        box = QMessageBox(self._window)
        box.setObjectName("question")
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(self.tr("The task has changed"))
        box.setText(
            self.tr("%Ln documents were done with other settings. Run them again as well?", "", job.count("done"))
        )
        box.setInformativeText(self.tr("Otherwise the pile holds results of both."))
        everything = box.addButton(self.tr("Run &all again"), QMessageBox.ButtonRole.AcceptRole)
        rest = box.addButton(self.tr("Run only the &rest"), QMessageBox.ButtonRole.AcceptRole)
        cancel = box.addButton(self.tr("&Cancel"), QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(cancel)
        box.setEscapeButton(cancel)
        everything.clicked.connect(lambda _checked=False: self._on(job, task, values, again=True))
        rest.clicked.connect(lambda _checked=False: self._on(job, task, values))
        box.open()

    def _on(self, job: Job, task: str, values: dict[str, Any], *, again: bool = False, anyway: bool = False) -> None:
        """Start after a question, unless another pile is shown by now."""
        if self._session.current == job.id:
            self._session.commands.start(task, values, again=again, anyway=anyway)


def _finished(job: Job) -> int:
    return job.count("done", "failed", "cancelled", "quarantined")
