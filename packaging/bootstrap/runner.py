"""Running pip and venv: everything they say goes to a log, the user sees the step that runs and its seconds."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

TAIL_LINES = 15

_HINTS = {
    r"No space left on device|Errno 28\b|disk full|not enough space on the disk": (
        "The disk is full. Make room (the environment takes about 2 GB, with CUDA about 8 GB), then start again. "
        "If only the folder for temporary files is full, point TMPDIR to another one."
    ),
    r"Temporary failure in name resolution|Name or service not known|nodename nor servname|getaddrinfo failed|"
    r"NewConnectionError|Connection refused|Network is unreachable|ConnectTimeout|ReadTimeout|timed out|"
    r"Connection aborted|RemoteDisconnected": (
        "The package index could not be reached. Check the network, and the proxy settings if there are any "
        "(HTTPS_PROXY), then start again: what was fetched already is kept."
    ),
    r"CERTIFICATE_VERIFY_FAILED|SSLError": (
        "The connection to the package index is not trusted here. Behind an inspecting proxy, point PIP_CERT to "
        "its certificate, then start again."
    ),
    r"THESE PACKAGES DO NOT MATCH|BadZipFile|incomplete download": (
        "A download is not the file that it should be, and is not used. Empty pip's cache (pip cache purge) and start "
        "again; if it stays so, the package index serves something else under this name."
    ),
    r"Permission denied|Access is denied|WinError 5\b|WinError 32\b": (
        "A file could not be written. Close every program that uses .venv (Heddle itself too), and check that the "
        "folder belongs to you, then start again."
    ),
    r"No matching distribution found for (?P<package>[\w.\[\]-]+)": (
        "The package index has no wheel of {package} for this Python and system ({python})."
    ),
}
"""What pip says, and what to do about it."""


def hint(text: str, python: str) -> str:
    """Return what to do about the failure whose log is ``text``; ``python`` names this Python and system."""
    for pattern, advice in _HINTS.items():
        found = re.search(pattern, text)
        if found:
            return advice.format(python=python, **found.groupdict())
    return "Start again; if it fails in the same way, report it together with the log."


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit code, and everything it wrote, standard output and error together."""

    code: int
    text: str

    @property
    def tail(self) -> str:
        """The last lines of what it wrote."""
        return "\n".join(self.text.rstrip().splitlines()[-TAIL_LINES:])


Runner = Callable[[str, Sequence[str], int], Outcome]
"""Runs a labelled command while holding the lock with this descriptor."""


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` without what would keep the environment's Python from being itself.

    PYTHONDONTWRITEBYTECODE goes too: without compiled files every start compiles torch and Qt bindings again.
    """
    unwanted = {"PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "__PYVENV_LAUNCHER__", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"}
    return {name: value for name, value in environ.items() if name not in unwanted}


def logged_runner(log_path: str, environ: Mapping[str, str]) -> Runner:
    """Return a runner that appends to the log at ``log_path``, which it begins anew."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(log_path)
    # A user's "pip config set install.user true" does not work inside a venv.
    environment = {**child_environment(environ), "PIP_USER": "0", "PYTHONUNBUFFERED": "1"}
    width = shutil.get_terminal_size().columns - 1 if sys.stderr.isatty() else 0

    def run(label: str, command: Sequence[str], lock: int) -> Outcome:
        started = time.monotonic()
        heard: list[str] = []
        # The child shares the lock: should this process be killed, the next start waits until pip has ended too.
        with (
            open(log_path, "a", encoding="utf-8") as log,
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                env=environment,
                pass_fds=(lock,) if os.name == "posix" else (),
            ) as process,
        ):
            log.write(f"$ {' '.join(command)}\n")
            try:
                for line in process.stdout or ():
                    heard.append(line)
                    log.write(line)
                    if width:
                        print(f"\r{f'  {label}  {line.strip()}'[:width]:{width}}", end="", file=sys.stderr, flush=True)
            except BaseException:
                process.terminate()
                raise
        clear = f"\r{'':{width}}\r" if width else ""
        print(f"{clear}  {label}  {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
        return Outcome(process.returncode, "".join(heard))

    return run
