"""Undo: rows that were taken off a pile and piles that were deleted, the newest first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal

from gui.escape import shown
from gui.job_list import JobList
from gui.session import Session


@dataclass(frozen=True, slots=True)
class _Step:
    """Something that can be undone: what it is, as a menu entry, and how."""

    key: tuple[str, ...]
    text: str
    does: Callable[[], object]


class Undo(QObject):
    """Keeps what can be undone in the order in which it was done. ``changed`` comes with every change of that."""

    changed = Signal()

    def __init__(self, session: Session, job_list: JobList, parent: QObject | None = None) -> None:
        """Follow ``session`` and ``job_list``."""
        super().__init__(parent)
        self._session, self._job_list = session, job_list
        self._steps: list[_Step] = []
        self._greeted = False
        session.removed.connect(self._removed)
        session.hello.connect(self._welcome)
        job_list.changed.connect(self._look)

    @property
    def text(self) -> str:
        """What the next undo brings back, as a menu entry; "" when there is nothing."""
        return self._steps[-1].text if self._steps else ""

    def undo(self) -> None:
        """Undo what was done last."""
        if self._steps:
            self._run(self._steps[-1])

    def _run(self, step: _Step) -> None:
        if step in self._steps:
            self._steps.remove(step)
            self._session.stale.emit("undo:" + ":".join(step.key))
            step.does()
            self.changed.emit()

    def _removed(self, job: str, removal: int, count: int) -> None:
        text = self.tr("&Undo removing %Ln documents", "", count)
        step = _Step(("rows", job, str(removal)), text, lambda: self._session.commands.put_back(job, removal))
        self._steps.append(step)
        said = self.tr("Took %Ln documents off the pile.", "", count)
        offer = (self.tr("Undo"), lambda: self._run(step))
        self._session.notice("info", said, "undo:" + ":".join(step.key), offer)
        self.changed.emit()

    def _look(self) -> None:
        """Take in which piles can be brought back now."""
        deleted = dict(self._job_list.deleted)
        self._steps = [step for step in self._steps if step.key[0] != "pile" or step.key[1] in deleted]
        known = {step.key for step in self._steps}
        for job, name in deleted.items():
            if ("pile", job) not in known:
                text = self.tr("&Undo deleting '{name}'").format(name=shown(name).replace("&", "&&"))
                self._steps.append(_Step(("pile", job), text, lambda job=job: self._job_list.undo_delete(job)))
        self.changed.emit()

    def _welcome(self) -> None:
        """A new engine does not know what the one before took off."""
        if self._greeted:
            for step in [step for step in self._steps if step.key[0] == "rows"]:
                self._steps.remove(step)
                self._session.stale.emit("undo:" + ":".join(step.key))
            self.changed.emit()
        self._greeted = True
