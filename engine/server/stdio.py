"""The engine as a process of its own: commands in on standard input, events out on what was standard output.

Started by the window as ``python -m engine.host --session FILE --shelve``. Ends when its input closes, so it never outlives the
window; a window that reads slowly makes snapshots rarer but never holds up a worker.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import gc
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from engine import __version__, api
from engine.api.codec import Frames, encode
from engine.api.commands import Command
from engine.api.events import Event, Reply
from engine.api.threads import name_this_thread
from engine.errors import Cancelled, HeddleError, UsageError
from engine.jobs.aside import Stuck
from engine.telemetry.garbage import collect_garbage
from engine.telemetry.libraries import prepare_process

if TYPE_CHECKING:
    from engine.engine import Engine

log = logging.getLogger(__name__)

PERIOD = 0.1
"""Seconds between snapshots."""

HARD_LIMIT = 2.0
"""Seconds after an orderly end was asked for, on top of those granted, at which the process ends by force."""


class Outbox:
    """Writes frames on a thread of its own, so that a reader that does not read blocks nobody else."""

    def __init__(self, stream: BinaryIO) -> None:
        """Write to ``stream``, a blocking binary stream."""
        self._stream = stream
        self._frames: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._pending = 0
        self._change = threading.Condition()
        self.broken = threading.Event()
        """Set when the reader is gone."""
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def send(self, event: Event) -> None:
        """Queue an event; returns at once."""
        frame = encode(event)
        with self._change:
            self._pending += 1
        self._frames.put(frame)

    @property
    def pending(self) -> int:
        """Frames that the reader has not taken yet."""
        with self._change:
            return self._pending

    def drain(self, seconds: float) -> bool:
        """Wait until everything queued is written; False when ``seconds`` were not enough."""
        with self._change:
            return self._change.wait_for(lambda: not self._pending or self.broken.is_set(), seconds)

    def _run(self) -> None:
        name_this_thread("outbox")
        while (frame := self._frames.get()) is not None:
            try:
                if not self.broken.is_set():
                    self._stream.write(frame)
                    self._stream.flush()
            except (OSError, ValueError):
                self.broken.set()
            with self._change:
                self._pending -= 1
                self._change.notify_all()


class Host:
    """Turns commands into calls of the Engine, and what comes of them into events."""

    def __init__(self, engine: Engine, outbox: Outbox) -> None:
        """Serve ``engine``; answers go to ``outbox``."""
        self.engine = engine
        self.outbox = outbox
        self.ending = False
        """Set by ``end``, which signal handlers call: no lock is taken there that the thread below may hold."""
        self.grace = 2.0
        """Seconds that the end may take."""
        self.reason = ""
        self._handlers: dict[type, Callable[[Any], Any]] = {
            api.OpenModel: lambda c: self.engine.open_model(c.folder, c.dtype),
            api.CancelOpen: lambda _: self.engine.cancel_open(),
            api.CloseModel: lambda _: self.engine.close_model(),
            api.ListModels: lambda c: self.engine.list_models(c.folders, c.recent),
            api.CheckModel: lambda c: self.engine.check_model(c.folder),
            api.SetPlan: lambda c: self.engine.set_plan(c.plan),
            api.CreateJob: lambda c: self.engine.create_job(c.job, c.name),
            api.AddPaths: lambda c: self.engine.add_paths(
                c.job, c.paths, encoding=c.encoding, on_bad_bytes=c.on_bad_bytes, column=c.column
            ),
            api.Submit: lambda c: self.engine.submit(c.job, c.task, c.settings, c.priority, again=c.again, rest=c.rest),
            api.Pause: self._pause,
            api.Resume: lambda c: self.engine.resume(c.job),
            api.Cancel: lambda c: self.engine.cancel(c.job),
            api.Retry: lambda c: self.engine.retry(c.job, c.documents),
            api.RemoveDocuments: lambda c: self.engine.take_off(c.job, c.documents),
            api.SetPriority: lambda c: self.engine.set_priority(c.job, c.priority),
            api.Inspect: lambda c: self.engine.inspect(c.job, c.document, c.limit),
            api.Preview: lambda c: self.engine.preview(c.job, c.document, c.task, c.settings, c.limit),
            api.Trial: lambda c: self.engine.try_on(c.job, c.document, c.task, c.settings),
            api.StopTrial: lambda _: self.engine.stop_trial(),
            api.CountTokens: lambda c: self.engine.count_tokens(c.job, c.task, c.settings),
            api.StopCounting: lambda c: self.engine.stop_counting(c.job),
            api.ListJobs: lambda _: self.engine.list_jobs(),
            api.ShowJob: lambda c: self.engine.show_job(c.job),
            api.PutAway: lambda c: self.engine.put_away(c.job),
            api.RenameJob: lambda c: self.engine.rename_job(c.job, c.name),
            api.DeleteJob: lambda c: self.engine.delete_job(c.job),
            api.RestoreJob: lambda c: self.engine.restore_job(c.job),
            api.DuplicateJob: lambda c: self.engine.duplicate_job(c.job, c.copy, c.name),
            api.RestoreDocuments: lambda c: self.engine.put_back(c.job, c.removal),
            api.RunFirst: lambda c: self.engine.run_first(c.job, c.documents),
            api.WatchFolder: lambda c: self.engine.watch_folder(c.job, c.folder),
            api.Export: self._export,
        }

    def _export(self, command: api.Export) -> Future[int]:
        if not command.grow:
            return self.engine.export(command.job, command.path, command.format)
        if command.format != "jsonl":
            raise UsageError("Only JSON Lines can grow while the job runs; choose that format.")
        return self.engine.grow(command.job, command.path, resume=command.resume)

    def _pause(self, command: api.Pause) -> None:
        self.engine.pause(command.job)  # long answers are finished first, and the snapshots tell how many are left

    def handle(self, command: Command) -> None:
        """Carry out one command; its Reply is sent now or when its future is done."""
        if isinstance(command, api.Shutdown):
            self.end("asked to", command.seconds)
            self.outbox.send(Reply(command.request, ok=True))
            return
        try:
            result = self._handlers[type(command)](command)
        except HeddleError as error:
            self.outbox.send(Reply(command.request, ok=False, error=str(error)))
            return
        except Exception as error:
            log.exception("%s failed", type(command).__name__)
            self.outbox.send(Reply(command.request, ok=False, error=f"The engine could not do this: {error}"))
            return
        if isinstance(result, Future):
            result.add_done_callback(partial(self._answer, command))
        else:
            self.outbox.send(Reply(command.request, ok=True, value=_value(command, result)))

    def _answer(self, command: Command, future: Future[Any]) -> None:
        if future.cancelled():
            self.outbox.send(Reply(command.request, ok=False, error="The engine is closing."))
            return
        error = future.exception()
        if error is None:
            self.outbox.send(Reply(command.request, ok=True, value=_value(command, future.result())))
        elif isinstance(error, (HeddleError, Cancelled)):
            self.outbox.send(Reply(command.request, ok=False, error=str(error)))
        else:
            log.error("%s failed", type(command).__name__, exc_info=error)
            self.outbox.send(Reply(command.request, ok=False, error=f"The engine could not do this: {error}"))

    def end(self, reason: str, seconds: float = 2.0) -> None:
        """Begin the orderly end; the first reason counts."""
        if not self.ending:
            self.reason, self.grace = reason, seconds
            self.ending = True

    def serve(self) -> None:
        """Send a snapshot ten times a second until the end begins; runs on the main thread."""
        while not self.ending:
            time.sleep(PERIOD)
            if self.outbox.broken.is_set():
                self.end("the window is gone")
                break
            # With a frame still on its way the window is slow: what changed waits for the next round.
            if self.outbox.pending < 3:
                self.outbox.send(api.Picture(self.engine.snapshot()))
            collect_garbage()


def _value(command: Command, result: Any) -> dict[str, Any]:
    if result is None:
        return {}
    if isinstance(result, dict):
        return {key: api.plain(item) for key, item in result.items()}
    if isinstance(result, int):
        return {"path": command.path, "rows": result} if isinstance(command, api.Export) else {"count": result}
    if isinstance(result, api.JobFacts):
        return {"job": api.plain(result)}
    if isinstance(command, api.ListJobs):
        return {"jobs": [api.plain(item) for item in result]}
    if isinstance(result, tuple):
        return {"models": [api.plain(item) for item in result]}
    if isinstance(command, api.SetPlan):
        return {"plan": api.plain(result)}
    return {"facts": api.plain(result)}


def _read_commands(stream: BinaryIO, host: Host) -> None:
    """Hand commands to the host until the stream ends; runs on a thread of its own."""
    name_this_thread("commands")
    frames = Frames()
    descriptor = stream.fileno()
    while True:
        try:
            data = os.read(descriptor, 1 << 16)
        except OSError:
            data = b""
        if not data:
            host.end("the window is gone")
            return
        try:
            for command in frames.feed(data):
                host.handle(command)  # type: ignore[arg-type]
        except api.ProtocolError as error:
            log.error("the window sent what is no command: %s", error)
            host.end("the commands cannot be read")
            return


def _take_streams() -> tuple[BinaryIO, BinaryIO]:
    """Return (commands in, events out) and move standard output aside, so that no library's print breaks a frame."""
    out = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(out.fileno(), os.O_BINARY)
        msvcrt.setmode(0, os.O_BINARY)
    return sys.stdin.buffer, out


def _watch_parent(parent: int, host: Host) -> None:
    """End the engine when process ``parent`` is gone, even if its pipe was inherited by somebody else."""
    import psutil

    name_this_thread("parent")
    try:
        process = psutil.Process(parent)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and not host.ending:
            time.sleep(1.0)
    except psutil.NoSuchProcess:
        pass
    host.end("the window is gone")


def main(arguments: list[str] | None = None) -> int:
    """Run the engine host until it is told to end; returns the exit code."""
    parser = argparse.ArgumentParser("engine.server.stdio", description="Heddle's engine, as the window starts it.")
    parser.add_argument("--session", help="file that keeps jobs and results if the engine dies")
    parser.add_argument(
        "--shelve", action="store_true", help="leave finished jobs in the file until somebody asks for them"
    )
    parser.add_argument(
        "--stuck",
        metavar="SECONDS:TIME[:silent]",
        help="the engine before was ended at TIME of the monotonic clock because it had not come back for SECONDS, or "
        "had said nothing for so long",
    )
    parser.add_argument("--parent", type=int, help="process id after whose end the engine ends as well")
    options = parser.parse_args(arguments)
    prepare_process()
    incoming, outgoing = _take_streams()
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    gc.disable()  # collected by this thread only, from serve(): never on a pool thread
    outbox = Outbox(outgoing)
    from engine import tasks
    from engine.engine import Engine
    from engine.tasks.base import specification
    from engine.telemetry import machine

    try:
        engine = Engine(options.session, shelve=options.shelve, stuck=_stuck(options.stuck))
    except HeddleError as error:
        log.error("%s", error)
        outbox.send(api.Bye(str(error)))
        outbox.drain(1.0)
        return 3
    host = Host(engine, outbox)
    signal.signal(signal.SIGTERM, lambda *_: host.end("terminated"))
    signal.signal(signal.SIGINT, lambda *_: host.end("interrupted"))
    outbox.send(
        api.Hello(
            api.VERSION,
            __version__,
            os.getpid(),
            machine.facts(),
            tuple(specification(task) for task in tasks.TASKS.values()),
            engine.recovered,
            engine.set_aside,
        )
    )
    threading.Thread(target=_read_commands, args=(incoming, host), name="commands", daemon=True).start()
    if options.parent:
        threading.Thread(target=_watch_parent, args=(options.parent, host), name="parent", daemon=True).start()
    # Whatever hangs (a load, a disk, this thread) must not keep the process that was told to end.
    threading.Thread(target=_end_by_force, args=(host,), name="end", daemon=True).start()
    host.serve()
    begin = time.monotonic()
    clean = engine.close(host.grace)
    outbox.send(api.Bye(host.reason))
    outbox.drain(max(0.1, host.grace - (time.monotonic() - begin)))
    log.info("ended: %s, %s", host.reason, "cleanly" if clean else "with work cut off")
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(0)  # a loader thread inside a C++ call cannot be joined; everything that matters is closed


def _end_by_force(host: Host) -> None:
    """Wait for the end to be asked for, and end the process when the orderly way takes longer than was granted."""
    name_this_thread("end")
    while not host.ending:
        time.sleep(PERIOD)
    time.sleep(host.grace + HARD_LIMIT)
    host.engine.board.end()
    os._exit(0)


def _stuck(told: str | None) -> Stuck | None:
    """Return what ``--stuck`` says; None where it says nothing."""
    words = (told or "").split(":")
    try:
        return Stuck(float(words[0]), float(words[1]), silent=words[2:] == ["silent"])
    except (ValueError, IndexError):
        return None


if __name__ == "__main__":
    sys.exit(main())
