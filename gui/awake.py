"""Keeps the machine awake while a job runs. Failing to is no error: the job goes on after the sleep."""

from __future__ import annotations

import ctypes
import logging
import os
import sys

from PySide6.QtCore import QObject, QProcess, QStandardPaths

log = logging.getLogger(__name__)

_ES_CONTINUOUS = 0x80000000
_ES_SYSTEM_REQUIRED = 0x00000001


def _command() -> tuple[str, list[str]] | None:
    """Return the program that keeps this machine awake as long as it runs, None where there is none."""
    pid = str(os.getpid())
    if sys.platform == "darwin":
        return "caffeinate", ["-i", "-w", pid]
    tail = _find("tail")
    inhibit = _find("systemd-inhibit")
    if not inhibit or not tail:
        return None
    # The inhibitor lasts as long as its child; `tail --pid` ends with this window even if the window is killed.
    what = ["--what=idle:sleep", "--who=Heddle", "--why=A pile is being worked on", "--mode=block"]
    return inhibit, [*what, tail, f"--pid={pid}", "-f", os.devnull]


def _find(name: str) -> str:
    """Return the path of a program, "" when it is not installed."""
    return QStandardPaths.findExecutable(name)


class Awake(QObject):
    """``hold(True)`` while work runs, ``hold(False)`` after; both may be repeated."""

    def __init__(self, parent: QObject | None = None) -> None:
        """Hold nothing yet."""
        super().__init__(parent)
        self._held = False
        self._process: QProcess | None = None

    @property
    def held(self) -> bool:
        """Whether the machine is asked to stay awake."""
        return self._held

    def hold(self, wanted: bool) -> None:
        """Ask the machine to stay awake, or let it sleep again."""
        if wanted == self._held:
            return
        self._held = wanted
        if sys.platform == "win32":
            flags = _ES_CONTINUOUS | (_ES_SYSTEM_REQUIRED if wanted else 0)
            if not ctypes.windll.kernel32.SetThreadExecutionState(flags):
                log.info("Windows did not take the wish to stay awake")
        elif wanted:
            self._start()
        else:
            self._stop()

    def _start(self) -> None:
        command = _command()
        if command is None:
            log.info("no program found that keeps this machine awake")
            return
        process = QProcess(self)
        process.setProgram(command[0])
        process.setArguments(command[1])
        process.setStandardOutputFile(QProcess.nullDevice())
        process.setStandardErrorFile(QProcess.nullDevice())
        process.errorOccurred.connect(lambda error: log.info("staying awake failed: %s", error.name))
        process.finished.connect(lambda code: self._ended(process, code))
        self._process = process
        process.start()

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.state() != QProcess.ProcessState.NotRunning:
            process.terminate()

    def _ended(self, process: QProcess, code: int) -> None:
        if process is self._process:
            log.info("the program that keeps the machine awake ended with exit code %d", code)
            self._process = None
        process.deleteLater()

    def close(self) -> None:
        """Let the machine sleep again and leave no process behind; takes half a second at most."""
        self.hold(False)
        for process in self.findChildren(QProcess):
            if process.state() != QProcess.ProcessState.NotRunning:
                process.kill()
                process.waitForFinished(500)
