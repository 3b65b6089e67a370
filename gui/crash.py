"""What happens when the window itself fails: a log, one dialog, and the job goes on."""

from __future__ import annotations

import faulthandler
import logging
import logging.handlers
import os
import sys
import threading
import traceback
from io import TextIOWrapper
from types import TracebackType
from typing import TextIO

from PySide6.QtCore import QMessageLogContext, QObject, QtMsgType, Signal, qInstallMessageHandler

from engine.api import private_files
from gui.dialogs.texts import TextDialog
from gui.engine_log import ENGINE_LOG

log = logging.getLogger("gui")

TRACE = 20_000
"""Characters of an earlier crash that a report holds at most."""


def start_logging(folder: str) -> None:
    """Log to ``window.log`` in ``folder``, what the engine says to ``engine.log``; Qt's own messages go there as well.

    Each is three files of a megabyte at most. No text of a document is written by anybody.
    """
    handler = _rotating(os.path.join(folder, "window.log"))
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    engine = logging.getLogger(ENGINE_LOG)
    engine.addHandler(_rotating(os.path.join(folder, "engine.log")))  # its lines have their time already
    engine.propagate = False
    qInstallMessageHandler(_qt_message)


class _PrivateFiles(logging.handlers.RotatingFileHandler):
    """A rotating log whose files only their owner may read."""

    def _open(self) -> TextIOWrapper:
        private_files.create_private(self.baseFilename)
        return super()._open()


def _rotating(path: str) -> logging.Handler:
    for earlier in (f"{path}.1", f"{path}.2"):
        private_files.make_private(earlier)
    return _PrivateFiles(path, maxBytes=1_000_000, backupCount=2, encoding="utf-8", errors="backslashreplace")


def _qt_message(kind: QtMsgType, context: QMessageLogContext, text: str) -> None:
    levels = {
        QtMsgType.QtDebugMsg: logging.DEBUG,
        QtMsgType.QtInfoMsg: logging.INFO,
        QtMsgType.QtWarningMsg: logging.WARNING,
    }
    logging.getLogger("qt").log(levels.get(kind, logging.ERROR), "%s (%s)", text, context.category or "")


class FaultLog:
    """The file into which a crash in native code writes its last trace."""

    def __init__(self, folder: str) -> None:
        """Keep what an earlier crash left under another name, and be ready for the next."""
        path = os.path.join(folder, "crash.log")
        self.earlier = ""
        try:
            if os.path.getsize(path):
                self.earlier = os.path.join(folder, "crash-last.log")
                os.replace(path, self.earlier)
                private_files.make_private(self.earlier)
        except OSError:  # there is none: the usual case
            self.earlier = ""
        self._file: TextIO = open(path, "w", encoding="utf-8", opener=private_files.opener)  # noqa: SIM115 - open as long as the process
        faulthandler.enable(self._file)

    def trace(self) -> str:
        """Return what the earlier crash left, "" without one: lines of code and threads, no values."""
        if not self.earlier:
            return ""
        try:
            with open(self.earlier, encoding="utf-8", errors="backslashreplace") as file:
                return file.read(TRACE)
        except OSError as error:
            return f"{self.earlier} cannot be read: {error}"

    def close(self) -> None:
        """Let go of the file."""
        faulthandler.disable()
        self._file.close()


class ExceptionHook(QObject):
    """Catches what no one caught, on any thread. The first problem opens a dialog, further ones are counted in it."""

    _happened = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        """Take over sys.excepthook and threading.excepthook until close()."""
        super().__init__(parent)
        self.dialog: TextDialog | None = None
        self.count = 0
        self.first = ""
        """The trace of the first problem; empty without one."""
        self._text = ""
        self._before = sys.excepthook, threading.excepthook
        self._happened.connect(self._show)
        sys.excepthook = self._caught
        threading.excepthook = self._caught_on_thread

    def close(self) -> None:
        """Give the hooks back."""
        sys.excepthook, threading.excepthook = self._before
        if self.dialog is not None:
            self.dialog.close()

    def _caught(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            return
        log.error("nobody caught this", exc_info=(kind, error, trace))
        self._happened.emit("".join(traceback.format_exception(kind, error, trace)))

    def _caught_on_thread(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            self._caught(args.exc_type, args.exc_value, args.exc_traceback)

    def _show(self, text: str) -> None:
        self.count += 1
        self.first = self.first or text
        if self.dialog is None:
            self._text = text
            self.dialog = TextDialog(self.tr("Heddle has a problem"), "", lambda: self._text)
            self.dialog.destroyed.connect(self._closed)
            self.dialog.show()
        note = self.tr("The window met a problem that it did not expect. The engine goes on with its work.")
        if self.count > 1:
            note += " " + self.tr("Further problems since then: {n}.").format(n=self.count - 1)
        self.dialog.note.setText(note)
        self.dialog.note.show()

    def _closed(self) -> None:
        self.dialog = None
        self.count = 0
