"""Running pip and venv: everything they say goes to a log, the user sees the step that runs and its seconds."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

TAIL_LINES = 15

_HINTS = (
    (
        r"No space left on device|Errno 28\b|disk full|not enough space on the disk",
        (
            "The disk is full. Make room (the environment takes about 2 GB, with CUDA about 8 GB), then start again. "
            "If only the folder for temporary files is full, point TMPDIR to another one."
        ),
    ),
    (
        (
            r"Temporary failure in name resolution|Name or service not known|nodename nor servname|getaddrinfo failed|"
            r"NewConnectionError|Connection refused|Network is unreachable|ConnectTimeout|ReadTimeout|timed out|"
            r"Connection aborted|RemoteDisconnected"
        ),
        (
            "The package index could not be reached. Check the network, and the proxy settings if there are any "
            "(HTTPS_PROXY), then start again: what was fetched already is kept."
        ),
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError",
        (
            "The connection to the package index is not trusted here. Behind an inspecting proxy, point PIP_CERT to "
            "its certificate, then start again."
        ),
    ),
    (
        r"THESE PACKAGES DO NOT MATCH|BadZipFile|incomplete download",
        "A download arrived damaged. Start again; if it stays, empty pip's cache with: pip cache purge",
    ),
    (
        r"Permission denied|Access is denied|WinError 5\b|WinError 32\b",
        (
            "A file could not be written. Close every program that uses .venv (Heddle itself too), and check that the "
            "folder belongs to you, then start again."
        ),
    ),
    (
        r"No matching distribution found for (?P<package>[\w.\[\]-]+)",
        "The package index has no build of {package} for this Python and system ({python}).",
    ),
)


def hint(text: str, python: str) -> str:
    """Return what to do about the failure whose log is ``text``; ``python`` names this Python and system."""
    for pattern, advice in _HINTS:
        found = re.search(pattern, text)
        if found:
            return advice.format(python=python, **found.groupdict())
    return "Start again; if it fails in the same way, report it together with the log."


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    text: str
    """Everything it wrote, standard output and error together."""

    @property
    def tail(self) -> str:
        """The last lines of what it wrote."""
        return "\n".join(self.text.rstrip().splitlines()[-TAIL_LINES:])


Runner = Callable[[str, Sequence[str], int], Outcome]
"""Runs a labelled command while holding the lock with this descriptor."""


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` without what would keep the environment's Python from being itself.

    PYTHONDONTWRITEBYTECODE goes too: without compiled files every start of the window compiles torch and Qt bindings
    again.
    """
    unwanted = {"PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "__PYVENV_LAUNCHER__", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"}
    return {name: value for name, value in environ.items() if name not in unwanted}


class _Progress:
    """One line on a terminal that says what runs, or nothing where standard error is not a terminal."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._started = time.monotonic()
        self._live = sys.stderr.isatty()

    def show(self, line: str) -> None:
        if self._live:
            text = f"  {self._label}  {time.monotonic() - self._started:4.0f} s  {line.strip()}"
            width = shutil.get_terminal_size().columns - 1
            print("\r" + text[:width].ljust(width), end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._live:
            print("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r", end="", file=sys.stderr)
        seconds = time.monotonic() - self._started
        print(f"  {self._label}  {seconds:.1f} s", file=sys.stderr, flush=True)


def logged_runner(log_path: str, environ: Mapping[str, str]) -> Runner:
    """Return a runner that appends to the log at ``log_path``, which it begins anew."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(log_path)
    environment = child_environment(environ)
    environment["PIP_USER"] = "0"  # a user's "pip config set install.user true" does not work inside a venv
    environment["PYTHONUNBUFFERED"] = "1"

    def run(label: str, command: Sequence[str], lock: int) -> Outcome:
        progress = _Progress(label)
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        heard: list[str] = []
        # The child shares the lock: should this process be killed, the next start waits until pip has ended too.
        with open(log_path, "a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(command)}\n")
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                env=environment,
                pass_fds=(lock,) if os.name == "posix" else (),
            )

            def listen() -> None:
                if process.stdout is not None:
                    with process.stdout as output:
                        for line in output:
                            lines.put(line)
                lines.put(None)

            threading.Thread(target=listen, daemon=True).start()
            try:
                latest = ""
                while True:
                    try:
                        line = lines.get(timeout=1)
                    except queue.Empty:
                        progress.show(latest)
                        continue
                    if line is None:
                        break
                    latest = line
                    heard.append(line)
                    log.write(line)
                    progress.show(latest)
                code = process.wait()
            except BaseException:
                process.terminate()
                process.wait()
                raise
        progress.end()
        return Outcome(code, "".join(heard))

    return run
