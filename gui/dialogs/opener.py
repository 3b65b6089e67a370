"""The dialogs of the window: made when they are first wanted, brought forward after that, none of them blocks."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QDialog, QWidget

from gui.job_commands import JobCommands
from gui.session import Session
from gui.theme import Theme


class Dialogs(QObject):
    """One of each kind at a time. ``shown`` holds those that are open, by name."""

    def __init__(self, session: Session, commands: JobCommands, theme: Theme, window: QWidget) -> None:
        """Open dialogs over ``window``."""
        super().__init__(window)
        self._session, self._commands, self._theme, self._window = session, commands, theme, window
        self.shown: dict[str, QDialog] = {}
        self.trace: Callable[[], str] = lambda: ""
        """Gives what an earlier crash left, for the report."""

    def export(self) -> None:
        """Open the export dialog."""
        from gui.dialogs.export import ExportDialog

        self._open("export", lambda: ExportDialog(self._session, self._window), modal=True)

    def jobs(self) -> None:
        """Open the list of jobs."""
        from gui.dialogs.jobs import JobsDialog

        self._open("jobs", lambda: JobsDialog(self._commands, self._theme, self._window))

    def log(self) -> None:
        """Show what the engine wrote last."""
        from gui.dialogs.texts import TextDialog

        client = self._session.client
        title, note = self.tr("Engine log"), self.tr("The last lines that the engine wrote.")
        self._open("log", lambda: TextDialog(title, note, lambda: "\n".join(client.log_lines), self._window, live=True))

    def report(self) -> None:
        """Show what a report of a problem should hold."""
        from gui.dialogs.texts import TextDialog, report

        title = self.tr("Report a problem")
        note = self.tr("Copy this into a report. Texts of documents are not in it; look through it all the same.")
        self._open("report", lambda: TextDialog(title, note, lambda: report(self._session, self.trace()), self._window))

    def about(self) -> None:
        """Say what Heddle is."""
        from gui.dialogs.texts import AboutDialog

        self._open("about", lambda: AboutDialog(self._session, self._window))

    def _open(self, name: str, make: Callable[[], QDialog], *, modal: bool = False) -> None:
        dialog = self.shown.get(name)
        if dialog is None:
            dialog = self.shown[name] = make()
            dialog.destroyed.connect(lambda: self.shown.pop(name, None))
        dialog.open() if modal else dialog.show()
        dialog.raise_()
        dialog.activateWindow()

    def close(self) -> None:
        """Close all that are open."""
        for dialog in list(self.shown.values()):
            dialog.close()
