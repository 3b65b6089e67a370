"""The export dialog: format, file, and what went wrong if it did."""

from __future__ import annotations

import os
from functools import partial

from PySide6.QtCore import Qt, QTimer, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from engine.api import Reply
from gui import words
from gui.abilities import task_named
from gui.dialogs.choosing import choose_target
from gui.escape import shown
from gui.session import Session
from gui.widgets.labels import wrapped


class ExportDialog(QDialog):
    """Stays open until the file is written, so that a failed export can be tried again."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        """Offer the formats that suit the current pile of ``session``."""
        super().__init__(parent)
        self._session = session
        self._replace = ""
        self._writing = False
        self.setWindowTitle(self.tr("Export results"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(520)
        job = session.job
        spec = None if job is None else task_named(session.machine_hello, job.state.task)
        vectors = spec is not None and spec.keeps_vectors
        self._group = QButtonGroup(self)
        self.formats: dict[str, QRadioButton] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 16)
        column.setSpacing(8)
        rows = job.count() if job is not None else 0
        column.addWidget(wrapped(self.tr("One row for each of %Ln documents, whatever became of it.", "", rows)))
        for name, text in (
            ("csv", self.tr("&CSV, for spreadsheets")),
            ("xlsx", self.tr("E&xcel workbook")),
            ("jsonl", self.tr("JSON &Lines, everything that is known of each document")),
            ("md", self.tr("&Markdown, a report to read, with a table")),
            ("txt", self.tr("&Text files in a folder, one for each result")),
            ("npy", self.tr("&NumPy, the vectors, with an index beside them")),
        ):
            button = QRadioButton(text)
            button.setVisible(name not in ("npy", "txt") or vectors == (name == "npy"))
            button.toggled.connect(self._format_changed)
            self._group.addButton(button)
            self.formats[name] = button
            column.addWidget(button)
        self.grow = QCheckBox(self.tr("&Keep adding rows as documents end"))
        self.grow.setToolTip(
            self.tr(
                "The file begins with what has ended and gets a row for each document that ends, until Heddle ends."
            )
        )
        self.grow.setChecked(job is not None and job.state.status in ("queued", "running"))
        column.addWidget(self.grow)
        self.path = QLineEdit()
        self.path.setProperty("look", "field")
        self.path.setAcceptDrops(False)
        self.path.setAccessibleName(self.tr("File"))
        self.path.textEdited.connect(self._path_edited)
        browse = QPushButton(self.tr("&Browse…"))
        browse.setAutoDefault(False)  # else Enter opens it
        browse.clicked.connect(self._browse)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.path, 1)
        row.addWidget(browse)
        column.addSpacing(4)
        column.addLayout(row)
        self.message = wrapped(look="problem")
        self.message.hide()
        column.addWidget(self.message)
        column.addStretch(1)
        self._buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.write = self._buttons.addButton(self.tr("&Export"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.write.setProperty("look", "primary")
        self._buttons.accepted.connect(self._write)
        self._buttons.rejected.connect(self.reject)
        column.addWidget(self._buttons)
        self.write.setDefault(True)  # a button has a dialog to be the default of only once it lies in it
        self.path.setFocus()
        last = session.settings.text("export_format", "csv")
        wanted = last if last in self.formats and not self.formats[last].isHidden() else "csv"
        self.formats[wanted].setChecked(True)

    @property
    def format(self) -> str:
        """The chosen format."""
        return next(name for name, button in self.formats.items() if button.isChecked())

    @property
    def _ending(self) -> str:
        """How the name of the file ends; text files go into a folder, whose name has no ending."""
        return "" if self.format == "txt" else f".{self.format}"

    def _format_changed(self, checked: bool) -> None:
        if not checked:
            return
        self._forget_problem()
        self.grow.setVisible(self.format == "jsonl")
        path = self.path.text()
        if path:
            self.path.setText(os.path.splitext(path)[0] + self._ending)
            return
        folder = self._session.settings.text("export_folder") or os.path.expanduser("~")
        job = self._session.job
        name = (
            "".join(c if c.isalnum() or c in " -_" else "-" for c in (job.name if job is not None else "")) or "heddle"
        )
        self.path.setText(os.path.join(folder, name + self._ending))

    def _path_edited(self) -> None:
        self._forget_problem()

    def _forget_problem(self) -> None:
        self._replace = ""
        self.message.hide()
        self.write.setText(self.tr("&Export"))

    def _browse(self) -> None:
        choose_target(self, self.tr("Export to"), self.path.text(), self._ending[1:], self._browsed)

    def _browsed(self, path: str) -> None:
        self._forget_problem()
        self.path.setText(path)
        self._replace = self.path.text()  # the dialog has asked already

    def _write(self) -> None:
        path = self.path.text().strip()
        if self._writing:
            return
        if not path:
            self._say(self.tr("Choose a file to write to."))
            return
        path = os.path.abspath(os.path.expanduser(path))
        if os.path.lexists(path) and self._replace not in (path, self.path.text()):
            self._replace = path
            self._say(self.tr("This file is there already. Press Replace to write over it."))
            self.write.setText(self.tr("&Replace"))
            return
        self._writing = True
        self.write.setEnabled(False)
        self.message.hide()
        grow = self.format == "jsonl" and self.grow.isChecked()
        self._session.commands.export(
            path, self.format, lambda reply: self._answered(reply, path, grow=grow), grow=grow
        )

    def _say(self, text: str) -> None:
        self.message.setText(shown(text))
        self.message.show()
        QTimer.singleShot(0, self, self.adjustSize)  # once the layout knows how many lines the sentence takes

    def _answered(self, reply: Reply, path: str, *, grow: bool) -> None:
        self._writing = False
        self.write.setEnabled(True)
        if not reply.ok:
            self._say(words.engine_text(reply.error))
            self.write.setText(self.tr("&Try again"))
            self._replace = path
            return
        settings = self._session.settings
        settings.set_text("export_format", self.format)
        settings.set_text("export_folder", os.path.dirname(path))
        rows = int(reply.value.get("rows", 0))
        place = shown(str(reply.value.get("path", path)))
        if grow:
            text = self.tr("Wrote %Ln documents to {path}; the others follow as they end.", "", rows).format(path=place)
        else:
            text = self.tr("Exported %Ln documents to {path}.", "", rows).format(path=place)
        written = str(reply.value.get("path", path))
        missing = self.tr("No program of this system opens {path}.")  # the dialog is gone when it is said
        self._session.notice("info", text, offer=(self.tr("Open"), partial(_open, self._session, written, missing)))
        self.accept()


def _open(session: Session, path: str, missing: str) -> None:
    """Show a file, or a folder, in the program that the system has for it; says ``missing`` where it has none."""
    if not QDesktopServices.openUrl(QUrl.fromLocalFile(path)):
        session.notice("warning", missing.format(path=shown(path)))
