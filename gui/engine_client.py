"""Starts, watches and restarts the engine process: commands go down, events come up, nothing blocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from PySide6.QtCore import QObject, QProcess, QTimer, Signal

from engine.api import (
    VERSION,
    Bye,
    CancelOpen,
    Command,
    Hello,
    Picture,
    ProtocolError,
    Reply,
    Shutdown,
    encode,
)
from gui.engine_log import EngineLog
from gui.engine_process import Patience, cause_of_death, environment, epitaph, outlook
from gui.inbox import Inbox
from gui.judgement import Judge
from gui.standing_orders import StandingOrders

OnReply = Callable[[Reply], None]


class EngineState(StrEnum):
    """What the window says about the engine process."""

    STARTING = "starting"
    READY = "ready"
    QUIET = "not answering"
    RESTARTING = "restarting"
    STOPPED = "stopped"
    FAILED = "failed"


class EngineClient(QObject):
    """One engine process at a time, with its requests, its heartbeat and its deaths.

    Signals: ``hello`` (Hello), ``snapshot`` (Snapshot), ``reply`` (Reply), ``state_changed`` (an EngineState),
    ``died`` (a sentence for the user), ``ended`` after shutdown() when no process is left.
    """

    hello = Signal(object)
    snapshot = Signal(object)
    reply = Signal(object)
    state_changed = Signal(str)
    died = Signal(str)
    ended = Signal()

    def __init__(
        self,
        program: str,
        arguments: list[str],
        *,
        patience: Patience | None = None,
        parent: QObject | None = None,
    ) -> None:
        """Prepare to run ``program`` with ``arguments``; nothing starts before start()."""
        super().__init__(parent)
        self._program, self._arguments = program, arguments
        self._patience = patience or Patience()
        self._process: QProcess | None = None
        self._inbox = Inbox(self._take, self._broken, self)
        self._log = EngineLog()
        self.state = EngineState.STOPPED
        self._request = 0
        self._pending: dict[int, OnReply | None] = {}
        self._held: list[Command] = []
        self._greeted = self._closing = False
        self._verdict = ""
        self.epitaph = ""
        """Why the last engine that died did so, in a sentence or two."""
        self._attempts = 0
        self._started_at = self._looked_at = self._silence = 0.0
        self._documents_before: int | None = None
        self._standing = StandingOrders()
        self._judge = Judge(self._patience)
        self._stuck = ""
        """Tells the next engine what this one was ended for."""
        self._cancel = (0, 0.0)
        """Request and time of the newest CancelOpen."""
        self._watch = QTimer(self)
        self._watch.setInterval(round(self._patience.watch * 1000))
        self._watch.timeout.connect(self._look)
        self._restart = QTimer(self)
        self._restart.setSingleShot(True)
        self._restart.timeout.connect(self._launch)
        self._end = QTimer(self)
        self._end.setSingleShot(True)
        self._end.timeout.connect(self._kill)

    # ------------------------------------------------------------------------------------------------------- the door
    @property
    def log_lines(self) -> list[str]:
        """The last lines of the engine's standard error."""
        return self._log.lines

    @property
    def pid(self) -> int:
        """Process id of the running engine, 0 when there is none."""
        return self._process.processId() if self._process is not None else 0

    @property
    def alive(self) -> bool:
        """Whether there is an engine process now."""
        return self._process is not None

    def start(self) -> None:
        """Start the engine, also after the client gave up; does nothing while one runs or restarts."""
        if self._process is not None or self._restart.isActive():
            return
        self._attempts = 0
        self._closing = False
        self._launch()

    def send(self, kind: Callable[..., Command], on_reply: OnReply | None = None, **fields: Any) -> int:
        """Send a command and return its request id; ``on_reply`` gets the Reply, later.

        Commands given before the engine said Hello, or while it restarts, wait for it. An engine that dies first
        answers with a failed Reply, as does one that is stopped or given up.
        """
        self._request += 1
        command = kind(request=self._request, **fields)
        self._standing.sent(command)
        if isinstance(command, CancelOpen):
            self._cancel = (command.request, time.monotonic())
        self._pending[self._request] = on_reply
        if self.state in (EngineState.STOPPED, EngineState.FAILED):
            request = self._request
            QTimer.singleShot(0, self, lambda: self._answer(Reply(request, ok=False, error=self._ended_text())))
        elif self._greeted:
            self._write(command)
        else:
            self._held.append(command)
        return self._request

    def shutdown(self) -> None:
        """Ask the engine to end, without waiting; ``ended`` follows, after ``patience.goodbye`` seconds by force."""
        if self._closing:
            return
        self._closing = True
        self._restart.stop()
        if self._process is None:
            self._set_state(EngineState.STOPPED)
            QTimer.singleShot(0, self, self.ended.emit)
        elif not self._greeted or self.state == EngineState.QUIET:
            self._kill()
        else:
            self._request += 1
            self._write(Shutdown(self._request, seconds=self._patience.goodbye))
            self._end.start(round(self._patience.goodbye * 1000))

    # ------------------------------------------------------------------------------------------------ life of a process
    def _launch(self) -> None:
        self._greeted = False
        self._verdict = ""
        self._inbox.clear()
        self._log.begin()
        self._documents_before = None
        self._started_at = self._looked_at = time.monotonic()
        self._silence = 0.0
        process = QProcess(self)
        process.setProgram(self._program)
        process.setArguments([*self._arguments, *(["--stuck", self._stuck] if self._stuck else [])])
        self._stuck = ""
        self._judge.begin()
        process.setProcessEnvironment(environment())
        process.readyReadStandardOutput.connect(self._read)
        process.readyReadStandardError.connect(self._read_log)
        process.errorOccurred.connect(self._failed)
        process.finished.connect(self._finished)
        self._process = process
        self._watch.start()
        self._set_state(EngineState.STARTING)
        process.start()

    def _failed(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart and self._process is not None:  # no finished() follows
            self._verdict = self.tr("The engine could not be started ({reason}).").format(
                reason=self._process.errorString()
            )
            self._bury()

    def _finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._read()
        self._inbox.finish()
        self._read_log()
        self._log.finish()
        if not self._verdict:
            self._verdict = cause_of_death(code, crashed=status == QProcess.ExitStatus.CrashExit)
        self._bury()

    def _bury(self) -> None:
        """Forget the process that ended, answer what waited for it, and decide what comes next."""
        process, self._process = self._process, None
        if process is None:
            return
        process.deleteLater()
        self._watch.stop()
        self._end.stop()
        held = {command.request for command in self._held}
        pending, self._pending = self._pending, {r: c for r, c in self._pending.items() if r in held}
        for request, callback in pending.items():
            if request not in held:
                self._reply(Reply(request, ok=False, error=self._ended_text()), callback)
        self._greeted = False
        if self._closing:
            self._drop_held()
            self._set_state(EngineState.STOPPED)
            self.ended.emit()
            return
        self._standing.engine_ended()
        if self._attempts >= len(self._patience.backoff):
            self._drop_held()
            self._set_state(EngineState.FAILED)
            self.died.emit(self._obituary(-1))
            return
        wait = self._patience.backoff[self._attempts]
        self._attempts += 1
        self._set_state(EngineState.RESTARTING)
        self._restart.start(round(wait * 1000))
        self.died.emit(self._obituary(wait))

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def _drop_held(self) -> None:
        held, self._held = self._held, []
        for command in held:
            self._answer(Reply(command.request, ok=False, error=self._ended_text()))

    def _set_state(self, state: EngineState) -> None:
        if state != self.state:
            self.state = state
            self.state_changed.emit(str(state))

    # --------------------------------------------------------------------------------------------------------- streams
    def _write(self, command: Command) -> None:
        if self._process is not None:
            self._process.write(encode(command))
            self._judge.sent(command)

    def _read(self) -> None:
        process = self._process
        if process is None:
            return
        data = bytes(process.readAllStandardOutput().data())
        if not data:
            return
        self._silence = 0.0
        if self.state == EngineState.QUIET:
            self._set_state(EngineState.READY)
        self._inbox.add(data)

    def _broken(self, error: ProtocolError) -> None:
        self._log.note(f"window: {error}")
        self._verdict = self.tr("The engine sent something that is not its protocol and was ended.")
        self._kill()

    def _read_log(self) -> None:
        if self._process is not None:
            self._log.add(bytes(self._process.readAllStandardError().data()))

    def _take(self, message: Any) -> None:
        if isinstance(message, Picture):
            self._note_progress(message)
            self.snapshot.emit(message.snapshot)
        elif isinstance(message, Reply):
            self._answer(message)
        elif isinstance(message, Hello):
            self._welcome(message)
        elif isinstance(message, Bye):
            if not self._greeted:  # it could not even begin, and says why
                self._verdict = message.reason
        else:
            raise ProtocolError(f"an engine does not send {type(message).__name__}")

    def _welcome(self, hello: Hello) -> None:
        if hello.version != VERSION:
            self._verdict = self.tr(
                "The engine speaks version {theirs} of the protocol and the window version {ours}: "
                "the installation is mixed. Install Heddle again."
            ).format(theirs=hello.version, ours=VERSION)
            self._attempts = len(self._patience.backoff)  # another start would say the same
            self._kill()
            return
        self._greeted = True
        self._standing.part_with(hello.set_aside)
        for earlier in self._standing.commands:
            if all(earlier.request != held.request for held in self._held):
                self._write(earlier)
        for command in self._held:
            self._write(command)
        self._held.clear()
        self._set_state(EngineState.READY)
        self.hello.emit(hello)

    def _answer(self, reply: Reply) -> None:
        self._judge.answered(reply.request)
        known = reply.request in self._pending
        callback = self._pending.pop(reply.request, None)
        if known:
            self._reply(reply, callback)
        self._standing.answered(reply)

    def _reply(self, reply: Reply, callback: OnReply | None) -> None:
        if callback is not None:
            callback(reply)
        self.reply.emit(reply)

    # -------------------------------------------------------------------------------------------------------- judgement
    def _look(self) -> None:
        """Count the silence. A stalled or suspended window counts one look, so it never takes its own sleep for theirs."""
        now = time.monotonic()
        passed = min(now - self._looked_at, 2 * self._patience.watch)
        self._silence += passed
        self._looked_at = now
        if not self._greeted:
            if self._silence >= self._patience.hello:
                self._verdict = self.tr("The engine did not start within {seconds} seconds and was ended.").format(
                    seconds=round(self._patience.hello)
                )
                self._kill()
        elif (judgement := self._judge.look(passed, self._silence)) is not None:
            self._verdict, self._stuck = judgement.sentence, judgement.stuck
            self._kill()
        elif self._silence >= self._patience.kill:
            self._stuck = self._judge.silent(self._silence)
            self._verdict = self.tr("The engine did not answer for {seconds} seconds and was ended.").format(
                seconds=round(self._patience.kill)
            )
            self._kill()
        elif self._cancel[0] in self._pending and now - self._cancel[1] >= self._patience.cancel:
            # A load that hangs in a disk or in native code cannot be stopped from inside its process (FAULTS 32).
            self._verdict = self.tr(
                "The load did not stop within {seconds} seconds and was ended with the engine."
            ).format(seconds=round(self._patience.cancel))
            self._kill()
        elif self._silence >= self._patience.quiet and not self._closing:
            self._set_state(EngineState.QUIET)
        elif now - self._started_at >= self._patience.healthy:
            self._attempts = 0

    def _note_progress(self, picture: Picture) -> None:
        """Forgive earlier deaths once a document is done: only deaths without progress are counted."""
        self._judge.told(picture.snapshot.activities)
        self._standing.told(picture.snapshot)
        done = picture.snapshot.meters.documents
        if self._documents_before is None:
            self._documents_before = done
        elif done > self._documents_before:
            self._attempts = 0

    def _obituary(self, wait: float) -> str:
        self.epitaph = epitaph(self._verdict, self._log.last_words())
        return f"{self.epitaph} {outlook(wait)}"

    def _ended_text(self) -> str:
        return self.tr("The engine ended before it could answer.")
