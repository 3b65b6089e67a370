"""Dialogs that show text to read and to copy: the engine's log, a report, a problem, and what Heddle is."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer, qVersion
from PySide6.QtGui import QFontDatabase, QGuiApplication, QIcon
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from engine import __version__
from gui.bill import bill_text
from gui.escape import shown_text
from gui.session import Session
from gui.widgets.facts import FactList
from gui.widgets.labels import wrapped
from gui.widgets.viewer import Viewer


class TextDialog(QDialog):
    """A text that can be copied; ``source`` is asked again each second while the dialog is open, if ``live``."""

    def __init__(
        self, title: str, note: str, source: Callable[[], str], parent: QWidget | None = None, *, live: bool = False
    ) -> None:
        """Show what ``source`` returns."""
        super().__init__(parent)
        self._source = source
        self.setWindowTitle(title)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(760, 480)
        self.text = Viewer(title)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setLineWrapMode(Viewer.LineWrapMode.NoWrap)
        self.note = wrapped(note, look="muted")
        self.note.setVisible(bool(note))
        buttons = QDialogButtonBox()
        copy = buttons.addButton(self.tr("&Copy"), QDialogButtonBox.ButtonRole.ActionRole)
        close = buttons.addButton(self.tr("C&lose"), QDialogButtonBox.ButtonRole.RejectRole)
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.text.toPlainText()))
        close.clicked.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 16)
        column.setSpacing(8)
        column.addWidget(self.note)
        column.addWidget(self.text, 1)
        column.addWidget(buttons)
        self.refresh()
        if live:
            timer = QTimer(self)
            timer.setInterval(1000)
            timer.timeout.connect(self.refresh)
            timer.start()

    def refresh(self) -> None:
        """Show the text anew, if it has changed."""
        text = shown_text(self._source())
        if text != self.text.toPlainText():
            at_end = self.text.verticalScrollBar().value() == self.text.verticalScrollBar().maximum()
            self.text.setPlainText(text)
            if at_end:
                self.text.verticalScrollBar().setValue(self.text.verticalScrollBar().maximum())


class AboutDialog(QDialog):
    """What Heddle is, and the versions of what it is made of."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        """Show the versions that this process and the engine know."""
        super().__init__(parent)
        self.setWindowTitle(self.tr("About Heddle"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        icon = QLabel()
        app_icon: QIcon = QApplication.windowIcon()
        icon.setPixmap(app_icon.pixmap(64, 64))
        name = QLabel(self.tr("Heddle {version}").format(version=__version__))
        font = name.font()
        font.setPointSizeF(font.pointSizeF() * 1.6)
        font.setBold(True)
        name.setFont(font)
        about = wrapped(
            self.tr(
                "Runs a local model over a pile of documents, on all the hardware of one desk, and shows it happening. "
                "Nothing leaves this machine."
            )
        )
        facts = FactList()
        facts.set_lines(versions(session))
        facts.setContentsMargins(0, 8, 0, 8)
        buttons = QDialogButtonBox()
        if bill_text():
            inside = buttons.addButton(self.tr("&What is inside"), QDialogButtonBox.ButtonRole.ActionRole)
            inside.clicked.connect(self._show_inside)
        close = buttons.addButton(self.tr("C&lose"), QDialogButtonBox.ButtonRole.RejectRole)
        close.clicked.connect(self.reject)
        words = QVBoxLayout()
        words.setSpacing(8)
        words.addWidget(name)
        words.addWidget(about)
        words.addWidget(facts)
        words.addWidget(wrapped(self.tr("Free software under the Apache License 2.0."), look="muted"))
        row = QHBoxLayout()
        row.setSpacing(16)
        row.addWidget(icon, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 24, 24, 16)
        column.setSpacing(16)
        column.addLayout(row)
        column.addWidget(buttons)
        self.setMinimumWidth(460)

    def _show_inside(self) -> None:
        note = self.tr(
            "Everything that this program is made of, with its licence. The texts of the licences are in the program's folder."
        )
        TextDialog(self.tr("What is inside"), note, bill_text, self).show()


def versions(session: Session) -> list[tuple[str, str]]:
    """Return the names and versions of the parts that matter."""
    lines = [("Python", platform.python_version()), ("Qt", qVersion())]
    hello = session.machine_hello
    if hello is not None:
        known = ("python", "heddle")  # said already
        lines.extend(item for item in sorted(hello.machine.versions.items()) if item[0].lower() not in known)
    return lines


def report(session: Session, trace: str = "") -> str:
    """Return what a report of a problem should hold: versions, machine, model, plan, counts and the engine's log.

    ``trace`` is what an earlier crash left. Document names and texts are left out, but for what the engine wrote to its
    log.
    """
    lines = [f"Heddle {__version__} on {platform.platform()}", f"argv: {sys.argv[:1]}"]
    lines += [f"{name} {version}" for name, version in versions(session)]
    hello = session.machine_hello
    if hello is not None:
        machine = hello.machine
        lines.append(f"cores {machine.cores}, {machine.instruction_set}, memory {machine.memory_total}")
        lines += [f"device {device.id}: {device.name}" for device in machine.devices]
    model, plan, meters = session.model, session.plan_in_use, session.meters
    lines.append(f"model {model.status} {model.name} {model.dtype} {model.engine_mode} {model.note} {model.message}")
    lines.append(f"plan {plan}")
    lines.append(f"engine {session.client.state}, {meters}")
    lines += [f"job {job.state.status} {job.state.task} {job.state.counts}" for job in session.jobs.values()]
    if trace:
        lines += ["", "earlier crash:", trace]
    lines += ["", "engine log:", *session.client.log_lines]
    return "\n".join(lines)
