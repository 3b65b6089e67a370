"""When an engine has to be replaced: what it was asked and does not answer, and what it does not come back from."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from PySide6.QtCore import QCoreApplication

from engine.api import Cancel, CloseModel, Command, Export, Pause, RemoveDocuments, Resume, Retry, RunFirst, Submit
from engine.api.activity import Activity, what
from gui.engine_process import Patience
from gui.escape import shown

_AT_ONCE = (Submit, Pause, Resume, Cancel, Retry, RemoveDocuments, RunFirst)
"""Commands that an engine in good health answers at once, whatever it is working on."""

_IN_THE_END = (CloseModel, Export)
"""Commands that take as long as what has begun; what does not go on must not hold them up."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Why an engine is replaced: a ``sentence`` for the user, and ``stuck``, what its successor is told (--stuck)."""

    sentence: str
    stuck: str


class Judge:
    """Keeps what one engine process was asked and what it said it was at, and says when it has to be replaced."""

    def __init__(self, patience: Patience) -> None:
        """Wait as long as ``patience`` says."""
        self._patience = patience
        self._waiting: dict[int, tuple[Command, float]] = {}
        self._activities: tuple[Activity, ...] = ()

    def begin(self) -> None:
        """Forget everything: another process begins."""
        self._waiting.clear()
        self._activities = ()

    def sent(self, command: Command) -> None:
        """Take note of a command that the engine has now."""
        if isinstance(command, (*_AT_ONCE, *_IN_THE_END)):
            self._waiting[command.request] = command, 0.0

    def answered(self, request: int) -> None:
        """Take note of an answer."""
        self._waiting.pop(request, None)

    def told(self, activities: tuple[Activity, ...]) -> None:
        """Take note of what the engine has been at for longer than a second."""
        self._activities = activities

    def look(self, passed: float, silence: float) -> Judgement | None:
        """Let ``passed`` seconds go by, the last ``silence`` of them without a word of the engine's.

        Returns why the engine has to be replaced, or None.
        """
        self._waiting = {r: (command, seconds + passed) for r, (command, seconds) in self._waiting.items()}
        now = [replace(one, seconds=one.seconds + silence) for one in self._activities]
        limits = self._patience
        if (command := _overdue(self._waiting.values(), now, silence, limits.answer)) is not None:
            words = _tr("The engine did not answer within {seconds} seconds ({command}) and was replaced.")
            said = words.format(seconds=f"{limits.answer:g}", command=type(command).__name__)
            return self._judgement(said, now, limits.answer, silence)
        if limits.progress > 0 and any(one.seconds >= limits.progress for one in now):
            words = _tr("The engine did not go on for {seconds} seconds and was replaced.")
            return self._judgement(words.format(seconds=f"{limits.progress:g}"), now, limits.progress, silence)
        return None

    def silent(self, silence: float) -> str:
        """Return what the successor of an engine that said nothing for ``silence`` seconds is told."""
        return f"{silence:.3f}:{time.monotonic():.3f}:silent"

    def _judgement(self, said: str, now: Iterable[Activity], bound: float, silence: float) -> Judgement:
        named = next((one for one in now if one.kind != "work" and one.seconds >= bound), None)
        if named is not None:
            said += " " + _tr("What it did not come back from: {what}.").format(what=shown(what(named)))
        sure = "silent" if silence >= self._patience.quiet else "sure"
        return Judgement(said, f"{bound:.3f}:{time.monotonic():.3f}:{sure}")


def _overdue(
    waiting: Iterable[tuple[Command, float]], now: Iterable[Activity], silence: float, bound: float
) -> Command | None:
    """Return a command that has waited ``bound`` seconds for nothing good, or None."""
    stuck = [one for one in now if one.seconds >= bound]
    for command, seconds in waiting:
        if seconds < bound:
            continue
        if isinstance(command, _AT_ONCE) or silence >= bound or any(_holds(one, command) for one in stuck):
            return command
    return None


def _holds(activity: Activity, command: Command) -> bool:
    """Tell whether ``activity``, which does not go on, is what ``command`` waits for."""
    if isinstance(command, Export):
        return activity.kind == "export" and activity.subject == command.path
    return activity.kind in {"model", "document"}


def blames_model(activity: Activity, folder: str) -> bool:
    """Tell whether ``activity`` blames the model in ``folder``, the one that is open or being opened."""
    return activity.kind == "model" and (activity.step != "check" or activity.subject == folder)


def _tr(text: str) -> str:
    return QCoreApplication.translate("engine process", text)
