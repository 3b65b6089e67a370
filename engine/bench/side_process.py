"""A side of a benchmark: a process of its own that loads, warms up, and answers one line of JSON with another."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any

from engine.errors import HeddleError
from engine.installation import module_path


class SideProcess:
    """Starts at once; all sides live side by side and run in turn, so that neither tunes the machine for the other."""

    def __init__(self, who: str, command: list[str], *, ours: bool = True) -> None:
        """Start ``command``; ``ours`` lets it import Heddle.

        The side prints a line of JSON when it is ready, and one for each line it is sent; it ends when its input does.
        """
        environment = dict(os.environ)
        if ours:
            environment["PYTHONPATH"] = module_path(os.environ.get("PYTHONPATH"))
        else:
            # Another environment has its own packages, and ours must not shadow them.
            environment.pop("PYTHONPATH", None)
        self.who = who
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed by end()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=environment,
        )
        self._peak = 0

    def ready(self) -> dict[str, Any]:
        """Wait until the side has loaded and warmed up; returns what it says of itself."""
        return self._hear()

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send one message and return its answer; raises HeddleError when the side has ended."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._ended() from error
        answer = self._hear()
        self._peak = max(self._peak, peak_rss(self._process.pid))
        return answer

    @property
    def peak_rss(self) -> int:
        """Return the most memory in bytes that the process has held at the time of its last answer; 0 if not known."""
        return self._peak

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise self._ended()

    def _ended(self) -> HeddleError:
        code = self._process.wait()
        self._errors.seek(0)
        said = [line.strip() for line in self._errors.read()[-20_000:].splitlines() if line.strip()]
        last = f": {said[-1][:300]}" if said else ""
        return HeddleError(f"The side {self.who!r} of the benchmark ended with exit code {code}{last}.")

    def end(self) -> None:
        """Let the process end, or end it."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:  # the other end is gone already
                    pass
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


def peak_rss(process: int) -> int:
    """Return the most memory in bytes that a process has held so far; 0 where the system does not tell."""
    try:
        with open(f"/proc/{process}/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    import psutil

    try:
        memory = psutil.Process(process).memory_info()
    except psutil.Error:
        return 0
    return int(getattr(memory, "peak_wset", memory.rss))


@dataclass(slots=True)
class Side:
    """A process and what one run of it is; several sides may share a process."""

    name: str
    process: SideProcess
    documents: int
    batch: int
    seconds: list[float] = field(default_factory=list)
    speeds: list[float] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)

    def run(self, new_tokens: int) -> None:
        """Run once and keep what it told."""
        told = self.process.ask({"documents": self.documents, "new_tokens": new_tokens, "batch": self.batch})
        self.seconds.append(told["seconds"])
        self.speeds.append(told["tokens"] / told["seconds"])
        self.answers.append(told)


class Deadline:
    """The seconds that a command may take, and those it has taken."""

    def __init__(self, seconds: float) -> None:
        """Start now."""
        self._begin = time.monotonic()
        self._seconds = seconds

    @property
    def spent(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._begin

    def allows(self, seconds: float) -> bool:
        """Tell whether something that takes ``seconds`` would still end in time."""
        return self.spent + seconds <= self._seconds
