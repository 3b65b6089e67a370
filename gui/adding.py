"""Ways for documents onto the pile: dialogs, drops, the command line, and the sample pile."""

from __future__ import annotations

import json
import os
from typing import Any

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from assets import path as asset_path
from gui.dialogs.choosing import choose_files, choose_folder
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
        kinds = "*.txt *.md *.log *.csv *.tsv *.xlsx *.json *.jsonl *.xml *.html *.pdf *.docx *.odt *.pptx *.odp *.epub *.eml *.mbox *.srt *.vtt"
        filters = [self.tr("All files (*)"), self.tr("Documents ({kinds})").format(kinds=kinds)]
        choose_files(self._window, self.tr("Add files"), self._last, filters, self._chosen)

    def folder(self) -> None:
        """Ask for a folder."""
        choose_folder(self._window, self.tr("Add a folder"), self._last, lambda folder: self._chosen([folder]))

    @property
    def _last(self) -> str:
        return self._session.settings.text("last_folder")

    def _chosen(self, paths: list[str]) -> None:
        self._session.settings.set_text("last_folder", os.path.dirname(paths[0]))
        self.paths(paths)

    def paths(self, paths: list[str]) -> None:
        """Add files and folders to the pile that is shown."""
        self._session.commands.add_paths([os.path.abspath(path) for path in paths])

    def sample(self) -> None:
        """Open the sample pile on a pile of its own, with its task filled in."""
        job = self._session.job
        if job is None or job.count() or job.state.adding:
            self._session.commands.new_pile(self.tr("Sample pile"))
        try:
            mails = str(asset_path("samples", "mails"))
            with open(asset_path("samples", "task.json"), encoding="utf-8") as file:
                wanted = json.load(file)
        except (OSError, ValueError) as error:
            self._session.notice("error", self.tr("The sample pile cannot be opened: {error}").format(error=error))
            return
        self._task.preset(str(wanted["task"]), {"labels": _labels(wanted["labels"])})
        self._session.commands.add_paths([mails])


def _labels(labels: list[dict[str, Any]]) -> str:
    """Return labels as the task's form takes them, one ``name: description`` a line."""
    return "\n".join(f"{label['name']}: {label['description']}" for label in labels)
