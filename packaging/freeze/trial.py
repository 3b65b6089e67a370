"""Whether a frozen program works, where it lies and as its users run it: self-test and smoke test, their logs read."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field

from freeze import BuildError

FATAL = (
    "Traceback",
    "could not load the Qt platform plugin",
    "ImportError",
    "ModuleNotFoundError",
    "Segmentation fault",
)
"""What no log of a program that works holds."""

PATIENCE = 900
"""Seconds that each of the tests may take on a busy machine."""

_CONNECT = re.compile(r"connect\(\d+, (\{.*?\}), \d+\)")
_NEAR = re.compile(r"sa_family=AF_(UNIX|UNSPEC|NETLINK)|inet_addr\(\"127\.|\"::1\"")


@dataclass(frozen=True)
class Trial:
    """How the tests are run: ``platform`` is Qt's (offscreen needs no display), ``before`` stands before each command."""

    platform: str = "offscreen"
    before: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


def try_program(folder: str, picture: str, trial: Trial | None = None) -> dict[str, object]:
    """Run ``heddle --self-test`` and ``heddle-desktop --smoke PICTURE`` of the program in ``folder``.

    Returns what the self-test told. Raises BuildError where one of them fails, leaves no picture, or a log holds one of
    the ``FATAL`` words.
    """
    chosen = trial or Trial()
    ending = ".exe" if os.name == "nt" else ""
    with tempfile.TemporaryDirectory(prefix="heddle-trial-") as home:
        test = [os.path.join(folder, "heddle" + ending), "--self-test"]
        smoke = [os.path.join(folder, "heddle-desktop" + ending), "--smoke", picture]
        told = json.loads(run(test, home, chosen))
        run(smoke, home, chosen)
    if not told["ok"] or not told["frozen"]:
        raise BuildError(f"The self-test told: {told}")
    if os.path.getsize(picture) < 20_000:
        raise BuildError(f"The window's picture shows nothing: {picture}")
    return told


def run(command: list[str], home: str, trial: Trial) -> str:
    """Run one test with nothing of this process' environment, and return what it printed; raises BuildError."""
    kept = ("PATH", "SYSTEMROOT", "TEMP", "TMP") if os.name == "nt" else ()
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"HOME": home, "QT_QPA_PLATFORM": trial.platform, "LANG": "C.UTF-8"}
    environment |= {"PATH": environment.get("PATH", "/usr/bin:/bin")} | trial.environment
    words = [*trial.before, *command]
    try:
        done = subprocess.run(words, env=environment, capture_output=True, cwd=home, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"This did not end within {PATIENCE} seconds: {words}") from error
    out, log = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    found = [word for word in FATAL if word in out + log]
    if done.returncode != 0 or found:
        raise BuildError(f"{words} ended with {done.returncode} ({', '.join(found)}):\n{out[-3000:]}\n{log[-3000:]}")
    return out


def far_connections(trace: str) -> list[str]:
    """Return the addresses beyond this machine that ``trace``, what strace wrote, shows a connection to."""
    return [address for address in _CONNECT.findall(trace) if not _NEAR.search(address)]


def try_offline(folder: str, picture: str, user: tuple[str, ...], home: str) -> None:
    """Try the program with no network but loopback, and trace what it connects to; raises BuildError.

    ``user`` stands before a command that another user is to run, who may write into ``home``. Takes root, unshare and ip;
    without strace the connections are not traced, which is said.
    """
    trace = os.path.join(home, "trace")
    watched = ("strace", "-f", "--seccomp-bpf", "-A", "-e", "trace=connect,sendto", "-o", trace)
    if not shutil.which("strace"):
        print("connections not traced: strace is missing", flush=True)
        watched = ()
    alone = ("unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh")
    before = (*alone, *user, *watched)
    try_program(folder, picture, Trial(before=before, environment={"HOME": home, "TMPDIR": home}))
    if not watched:
        return
    with open(trace, encoding="utf-8", errors="replace") as file:
        text = file.read()
    if not _CONNECT.search(text):
        raise BuildError("The trace holds no connection at all, not even the window's to its display or its like.")
    if far := far_connections(text):
        raise BuildError(f"The program connects beyond this machine: {far[:3]}")
    print("without a network: works, and connects to nothing beyond this machine", flush=True)
