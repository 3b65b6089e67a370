"""The engine as a process: how it is started, how long it is waited for, and what its death means."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QProcessEnvironment

from engine.installation import module_path, process_command


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the client waits, in seconds.

    ``hello`` for the first word of a new process (a cold disk reads torch for long), ``quiet`` until a silent engine is
    called not answering, ``kill`` until it is ended, ``goodbye`` between Shutdown and the end by force, ``healthy``
    until an engine that stays up is forgiven earlier deaths, ``cancel`` until a load that was told to stop is ended with
    its engine, ``answer`` until an engine that does not answer Start, Pause, Stop and their like is replaced, and
    ``progress`` until one is that does not come back from some work (0: never). ``backoff`` holds the waits before each restart.
    """

    hello: float = 120.0
    quiet: float = 5.0
    kill: float = 20.0
    goodbye: float = 1.6
    healthy: float = 60.0
    cancel: float = 5.0
    answer: float = 5.0
    progress: float = 600.0
    watch: float = 0.25
    backoff: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)


def engine_command(journal: str) -> tuple[str, list[str]]:
    """Return program and arguments of the engine process of this window, which keeps its jobs in the file ``journal``.

    The folder of the package is passed on by ``environment``.
    """
    tail = ["--session", journal, "--shelve", "--parent", str(os.getpid())]
    program, *arguments = process_command("engine.server.stdio", *tail)
    return program, arguments


def environment() -> QProcessEnvironment:
    """Return the environment of the engine process: the window's, and where the package is."""
    found = QProcessEnvironment.systemEnvironment()
    found.insert("PYTHONPATH", module_path(found.value("PYTHONPATH")))
    found.insert("PYTHONFAULTHANDLER", "1")  # a crash in native code leaves its trace in the engine's log
    return found


def _tr(text: str) -> str:
    return QCoreApplication.translate("engine process", text)


def epitaph(verdict: str, last: str) -> str:
    """Return what to tell the user of an engine that ended: why, and its ``last`` words if there are any."""
    return f"{verdict} {_tr('Its last words: {line}').format(line=last[:300])}" if last else verdict


def outlook(wait: float) -> str:
    """Return what comes after an engine: another one in ``wait`` seconds, or none where that is negative."""
    if wait < 0:
        return _tr("It is not started again by itself. Use Job > Start engine again.")
    return _tr("It starts again in {seconds} s; the piles go on.").format(seconds=f"{wait:g}")


def cause_of_death(code: int, *, crashed: bool) -> str:
    """Return as a sentence why the engine ended; ``code`` is its exit code, or the signal that ended it."""
    if not crashed:
        return _tr("The engine ended with exit code {code}.").format(code=code)
    try:
        name = signal.Signals(code).name
    except ValueError:  # Windows: an NTSTATUS
        return _tr("The engine crashed (code {code}).").format(code=f"{code & 0xFFFFFFFF:#x}")
    meaning = {
        "SIGKILL": _tr("it was killed, often because memory ran out"),
        "SIGSEGV": _tr("a fault in native code"),
        "SIGBUS": _tr("a file changed or vanished while it was read"),
        "SIGABRT": _tr("it stopped itself after a fault"),
    }.get(name)
    if meaning is None:
        return _tr("The engine was ended by {signal}.").format(signal=name)
    return _tr("The engine was ended by {signal}: {meaning}.").format(signal=name, meaning=meaning)
