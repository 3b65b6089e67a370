"""What the user can do with a job as a whole, from the menu for the pile that is shown and from the list for any."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QInputDialog, QLineEdit, QWidget

from engine.api import JobFacts
from gui.dialogs.choosing import choose_folder
from gui.escape import shown
from gui.job_list import JobList
from gui.session import Session
from gui.words import BUSY, HALTING

if TYPE_CHECKING:
    from gui.panels.task import TaskPanel


class JobCommands(QObject):
    """Asks what has to be asked (a name, a folder) without blocking, and tells the list of jobs."""

    def __init__(self, job_list: JobList, session: Session, task: TaskPanel, window: QWidget) -> None:
        """Work on ``job_list``; a job that is opened fills in its task in ``task``; dialogs belong to ``window``."""
        super().__init__(window)
        self.job_list, self._session, self._task, self._window = job_list, session, task, window
        self.start: Callable[[], None] = lambda: None
        """Starts the pile that is shown, or asks whether to run it again."""
        self.go_on: Callable[[], None] = lambda: None
        """Goes on with the pile that is shown, which was paused."""
        self.export: Callable[[], None] = lambda: None
        """Asks where to export the pile that is shown."""
        job_list.shown_again.connect(self._fill_in)

    def _fill_in(self, facts: JobFacts) -> None:
        if facts.task:
            self._task.preset(facts.task, facts.settings)

    @property
    def current(self) -> str:
        """The id of the pile that is shown, "" for none."""
        return self._session.current

    def open(self, job: str) -> None:
        """Show a job in the window, with its results and its task."""
        self.job_list.show(job)

    def resume(self, job: str) -> None:
        """Go on with a paused job."""
        self._then(job, self.go_on)

    def run_again(self, job: str) -> None:
        """Show a job and ask whether to run it again."""
        self._then(job, self.start)

    def export_results(self, job: str) -> None:
        """Show a job and ask where to export it to."""
        self._then(job, self.export)

    def _then(self, job: str, does: Callable[[], None]) -> None:
        """Do something with a job as soon as it is the one that is shown."""
        if self.current == job:
            does()
            return

        def shown_now(facts: JobFacts) -> None:
            self.job_list.shown_again.disconnect(shown_now)
            if facts.id == job:
                does()

        self.job_list.shown_again.connect(shown_now)
        self.job_list.show(job)

    def rename(self, job: str, parent: QWidget | None = None) -> None:
        """Ask for another name."""
        facts = self.job_list.facts(job)
        if facts is None:
            return
        dialog = QInputDialog(parent or self._window)
        dialog.setObjectName("rename")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle(self.tr("Rename"))
        dialog.setLabelText(self.tr("Name of the pile:"))
        dialog.setTextValue(shown(facts.name))
        dialog.setTextEchoMode(QLineEdit.EchoMode.Normal)
        dialog.textValueSelected.connect(lambda name: self.job_list.rename(job, name))
        dialog.open()

    def duplicate(self, job: str) -> None:
        """Make another job of the same documents and fill in its task, to be changed."""
        self.job_list.duplicate(job)

    def delete(self, job: str) -> None:
        """Delete a job; it can be undone, so nothing is asked."""
        self.job_list.delete(job)

    def put_away(self, job: str) -> None:
        """Close a job in the window."""
        self.job_list.put_away(job)

    def watch(self, job: str) -> None:
        """Ask for a folder to watch, or end watching."""
        if self.job_list.watched(job):
            self.job_list.watch(job, "")
            return
        last = self._session.settings.text("last_folder")
        dialog = choose_folder(
            self._window, self.tr("Watch a folder"), last, lambda folder: self.job_list.watch(job, folder)
        )
        dialog.setObjectName("watch")

    def may_change(self, facts: JobFacts | None) -> bool:
        """Return whether a job can be deleted or put away: nothing works for it."""
        if facts is None or facts.status in (*BUSY, *HALTING):
            return False
        job = self._session.jobs.get(facts.id)
        return job is None or not (job.state.adding or job.at_work)
