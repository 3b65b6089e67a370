"""Which actions make sense now, and what they are called."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtGui import QAction

from gui import progress
from gui.actions import Actions
from gui.job_list import JobList
from gui.panels.pile import PilePanel
from gui.panels.result import ResultPanel
from gui.panels.task import TaskPanel
from gui.previewer import Previewer
from gui.session import Session
from gui.text_column import text_column
from gui.undo import Undo


class Allowed:
    """Allows and forbids actions by what there is, what is chosen and what is under way."""

    def __init__(
        self,
        actions: Actions,
        row_actions: Sequence[QAction],
        session: Session,
        *,
        task: TaskPanel,
        pile: PilePanel,
        result: ResultPanel,
        previewer: Previewer,
        job_list: JobList,
        undo: Undo,
    ) -> None:
        """Ask all these; ``row_actions`` are about the rows that are chosen."""
        self._actions, self._row_actions, self._session = actions, row_actions, session
        self._task, self._pile, self._result, self._previewer = task, pile, result, previewer
        self._job_list, self._undo = job_list, undo

    def refresh(self) -> None:
        """Allow what makes sense now."""
        a, job = self._actions, self._session.job
        idle = job is not None and not job.asked
        busy = job is not None and job.busy
        resumes = job is not None and job.can_resume
        obstacle = progress.obstacle(self._session, self._task.task)
        a.start.setEnabled(idle and not obstacle)
        a.run_again.setEnabled(idle and not obstacle)
        a.set_start(obstacle, 0 if job is None else job.count("cancelled"))
        a.set_pause(paused=resumes)
        a.pause.setEnabled(busy or resumes)
        a.stop.setEnabled(busy or resumes)
        a.export.setEnabled(job is not None and job.count() > 0 and bool(job.state.task))
        failed, cancelled = (0, 0) if job is None else (job.count("failed"), job.count("cancelled"))
        a.set_retry(failed, cancelled)
        a.retry_failed.setEnabled(idle and failed + cancelled > 0)
        chosen = self._pile.view.selectionModel().hasSelection()
        for action in self._row_actions:
            action.setEnabled(chosen)
        row = None if job is None else job.pile.records.get(self._result.document)
        a.text_column.setEnabled(bool(text_column(row)) and not busy)
        a.show_prompt.setEnabled(self._result.document >= 0)
        a.try_on.setEnabled(self._result.document >= 0 and self._previewer.trying < 0)
        a.clear.setEnabled(idle and job is not None and job.count() > 0)
        a.next_pile.setEnabled(len(self._session.jobs) > 1)
        for action in (a.rename, a.watch):
            action.setEnabled(job is not None)
        a.duplicate.setEnabled(job is not None and job.count() > 0)
        movable = job is not None and not (job.at_work or job.state.adding)
        a.put_away.setEnabled(movable)
        a.delete.setEnabled(movable)
        a.set_undo(self._undo.text)
        a.set_watch(watching=bool(job is not None and self._job_list.watched(job.id)))
        a.start_engine.setEnabled(not self._session.client.alive)
