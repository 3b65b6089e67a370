"""Ways for documents onto the pile: dialogs, drops, the command line, and the sample pile."""

from __future__ import annotations

import json
import os
from typing import Any

from PySide6.QtCore import QObject, Qt, QUrl
from PySide6.QtWidgets import QFileDialog, QWidget

from assets import path as asset_path
from gui.panels.task import TaskPanel
from gui.session import Session


class Adder(QObject):
    """Gives paths to the engine, which walks them; the window looks into no file of the user's."""

    def __init__(self, session: Session, task: TaskPanel, window: QWidget) -> None:
        """Add to the current pile of ``session``; dialogs belong to ``window``."""
        super().__init__(window)
        self._session, self._task, self._window = session, task, window

    def files(self) -> None:
        """Ask for files."""
        dialog = self._dialog(self.tr("Add files"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.setNameFilters(
            [self.tr("All files (*)"), self.tr("Texts (*.txt *.md *.log *.csv *.json *.jsonl *.xml *.html)")]
        )
        dialog.open()

    def folder(self) -> None:
        """Ask for a folder."""
        dialog = self._dialog(self.tr("Add a folder"))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.open()

    def _dialog(self, title: str) -> QFileDialog:
        dialog = QFileDialog(self._window, title, self._session.settings.text("last_folder"))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.urlsSelected.connect(self._chosen)
        return dialog

    def _chosen(self, urls: list[QUrl]) -> None:
        paths = [os.path.normpath(url.toLocalFile()) for url in urls if url.isLocalFile()]
        if paths:
            self._session.settings.set_text("last_folder", os.path.dirname(paths[0]))
        self.paths(paths)

    def paths(self, paths: list[str]) -> None:
        """Add files and folders to the pile that is shown."""
        self._session.add_paths([os.path.abspath(path) for path in paths])

    def sample(self) -> None:
        """Open the sample pile on a pile of its own, with its task filled in."""
        job = self._session.job
        if job is None or job.count() or job.state.adding:
            self._session.new_pile(self.tr("Sample pile"))
        try:
            mails = str(asset_path("samples", "mails"))
            with open(asset_path("samples", "task.json"), encoding="utf-8") as file:
                wanted = json.load(file)
        except (OSError, ValueError) as error:
            self._session.notice("error", self.tr("The sample pile cannot be opened: {error}").format(error=error))
            return
        self._task.preset(str(wanted["task"]), {"labels": _labels(wanted["labels"])})
        self._session.add_paths([mails])


def _labels(labels: list[dict[str, Any]]) -> str:
    """Return labels as the task's form takes them, one ``name: description`` a line."""
    return "\n".join(f"{label['name']}: {label['description']}" for label in labels)
