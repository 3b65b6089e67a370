"""A real engine process on two pipes, for tests that talk to it as the window does."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine import api
from engine.api.codec import Frames
from engine.api.events import Bye, Event, Hello, Picture, Reply
from engine.api.snapshot import DocumentRow, Snapshot

ROOT = Path(__file__).resolve().parent.parent


class HostProcess:
    """Starts ``python -m engine.server.stdio`` and keeps what it said."""

    def __init__(
        self,
        *arguments: str,
        code: str = "",
        environment: dict[str, str] | None = None,
        stderr: int = subprocess.PIPE,
    ) -> None:
        command = (
            [sys.executable, "-c", code, *arguments]
            if code
            else [sys.executable, "-m", "engine.server.stdio", *arguments]
        )
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": paths, **(environment or {})},
        )
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.process.stdout, selectors.EVENT_READ)
        self._frames = Frames()
        self._request = 0
        self.events: list[Event] = []
        self.rows: dict[int, DocumentRow] = {}
        self.snapshot: Snapshot | None = None
        self.pictures = 0
        self.closed = False

    def send(self, kind: Callable[..., Any], **fields: Any) -> int:
        self._request += 1
        self.process.stdin.write(api.encode(kind(self._request, **fields)))
        self.process.stdin.flush()
        return self._request

    def pump(self, seconds: float = 0.5) -> None:
        if self.closed or not self._selector.select(seconds):
            return
        data = os.read(self.process.stdout.fileno(), 1 << 20)
        if not data:
            self.closed = True
        for event in self._frames.feed(data):
            self.events.append(event)
            if isinstance(event, Picture):
                self.pictures += 1
                self.snapshot = event.snapshot
                for told in event.snapshot.rows:
                    if told.reset:
                        self.rows.clear()
                    self.rows.update({row.id: row for row in told.rows})

    def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert not self.closed, f"the engine ended: {self.errors()}"
            assert time.monotonic() < end, f"nothing of the kind within {seconds} s; last: {self.events[-1:]}"
            self.pump()

    def hello(self) -> Hello:
        self.until(lambda: any(isinstance(e, Hello) for e in self.events))
        return next(e for e in self.events if isinstance(e, Hello))

    def reply(self, request: int, seconds: float = 60.0) -> Reply:
        def find() -> Reply | None:
            return next((e for e in self.events if isinstance(e, Reply) and e.request == request), None)

        self.until(lambda: find() is not None, seconds)
        return find()

    def ask(self, kind: Callable[..., Any], **fields: Any) -> Reply:
        return self.reply(self.send(kind, **fields))

    def status(self, job: str) -> str:
        if self.snapshot is None:
            return ""
        return next((j.status for j in self.snapshot.jobs if j.id == job), "")

    def until_ended(self, seconds: float = 10.0) -> int:
        end = time.monotonic() + seconds
        while not self.closed:
            assert time.monotonic() < end, "the engine does not end"
            self.pump()
        return self.process.wait(max(0.1, end - time.monotonic()))

    def said_bye(self) -> bool:
        return any(isinstance(e, Bye) for e in self.events)

    def errors(self) -> str:
        if self.process.poll() is None:
            self.process.kill()
        return "" if self.process.stderr is None else self.process.stderr.read().decode(errors="replace")[-2000:]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._selector.close()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                if stream is not None:
                    stream.close()
            except BrokenPipeError:
                continue
