"""Two users of one machine: prints as JSON what a stranger can do to a window's data folder. Run as root.

The children fork after everything is imported, so that they need no file of the interpreter under their own ids.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QCoreApplication, QTimer

from gui.peer import make_private
from gui.single_instance import ADDRESS, SingleInstance

OWNER, STRANGER = 65533, 65534
PATIENCE = 20.0
"""Seconds after which whoever still waits gives up."""


class Child:
    """A process of another user; ``said`` are the values that it reports, one a line."""

    def __init__(self, uid: int, work: Callable[[Callable[[Any], None]], None]) -> None:
        """Fork, become ``uid`` and do ``work``, which reports by calling its argument."""
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reading)
            code = 1
            try:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
                work(lambda value: os.write(writing, json.dumps(value).encode() + b"\n") and None)
                code = 0
            finally:
                os._exit(code)
        os.close(writing)
        self._lines = os.fdopen(reading)

    def said(self) -> Any:
        """Return the next value that it reports, None when it has ended."""
        line = self._lines.readline()
        return json.loads(line) if line else None

    def end(self) -> None:
        """End it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)


def hold(data: str) -> Callable[[Callable[[Any], None]], None]:
    """Return the work of a first window: it reports whether it may start, and then all that it is given."""

    def work(tell: Callable[[Any], None]) -> None:
        app = QCoreApplication([])
        make_private(data)
        single = SingleInstance(data)
        single.called.connect(tell)
        tell(single.claim())
        QTimer.singleShot(round(1000 * PATIENCE), app.quit)
        app.exec()

    return work


def start_again(data: str, *paths: str) -> bool:
    """Return whether a second start of the owner hands its paths over."""

    def work(tell: Callable[[Any], None]) -> None:
        QCoreApplication([])
        single = SingleInstance(data)
        tell(not single.claim() and single.call(list(paths)))

    child = Child(OWNER, work)
    told = child.said()
    child.end()
    return told


def listen(path: str) -> Callable[[Callable[[Any], None]], None]:
    """Return the work of a stranger who waits at ``path`` for names: reports that it listens, then each thing it heard."""

    def work(tell: Callable[[Any], None]) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.settimeout(PATIENCE)
            server.bind(path)
            os.chmod(path, 0o777)
            server.listen()
            tell(True)
            while True:
                peer, _ = server.accept()
                peer.settimeout(PATIENCE)
                heard = peer.recv(4096)
                peer.sendall(b"ok\n")
                tell(heard.decode("latin-1"))

    return work


def pry(data: str) -> dict[str, str]:
    """Return what happens when a stranger lists the folder, reads in it, writes in it and calls the window."""
    address = os.path.join(data, ADDRESS)
    with open(address) as file:
        where = file.read()

    def call() -> None:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(PATIENCE)
            peer.connect(where)
            peer.sendall(b'["/forged"]\n')
            if not peer.recv(16):
                raise ConnectionAbortedError

    def work(tell: Callable[[Any], None]) -> None:
        found = {}
        for name, does in (
            ("list", lambda: os.listdir(data)),
            ("read", lambda: os.close(os.open(address, os.O_RDONLY))),
            ("write", lambda: os.close(os.open(f"{data}/squat", os.O_WRONLY | os.O_CREAT))),
            ("call", call),
        ):
            try:
                does()
                found[name] = "done"
            except PermissionError:
                found[name] = "refused"
            except OSError:
                found[name] = "cut off"
        tell(found)

    child = Child(STRANGER, work)
    told = child.said()
    child.end()
    return told


def main() -> None:
    """Print the report."""
    base = tempfile.mkdtemp(dir="/tmp")  # not pytest's folder, which other users may not enter
    try:
        print(json.dumps(tried(base, sys.argv[1])))
    finally:
        shutil.rmtree(base)


def tried(base: str, name: str) -> dict[str, Any]:
    """Return what came of each try, on a data folder of this name below ``base``."""
    shared, home = os.path.join(base, "tmp"), os.path.join(base, "home")
    for folder, mode, uid in ((base, 0o755, 0), (shared, 0o1777, 0), (home, 0o755, OWNER)):
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, mode)
        os.chown(folder, uid, uid)
    os.environ["TMPDIR"] = tempfile.tempdir = shared
    os.environ.pop("XDG_RUNTIME_DIR", None)
    data = os.path.join(home, name)
    report: dict[str, Any] = {}
    known = os.path.join(shared, "heddle-" + hashlib.sha256(os.fsencode(data)).hexdigest()[:20])
    squatter = Child(STRANGER, listen(known))
    squatter.said()
    window = Child(OWNER, hold(data))
    report["started"] = window.said()
    report["handed over"] = start_again(data, "/secret/name")
    report["taken"] = window.said() if report["handed over"] else None
    squatter.end()
    report["overheard"] = squatter.said()
    report["closed"] = pry(data)
    with open(os.path.join(data, ADDRESS)) as file:
        where = file.read()
    for path in (data, os.path.dirname(where)):
        os.chmod(path, 0o755)
    os.chmod(where, 0o777)
    report["opened by mistake"] = pry(data)
    report["handed over later"] = start_again(data, "/later")
    report["taken later"] = window.said()
    false = os.path.join(shared, "false")
    impostor = Child(STRANGER, listen(false))
    impostor.said()
    with open(os.path.join(data, ADDRESS), "w") as file:
        file.write(false)
    report["handed to an impostor"] = start_again(data, "/secret/name")
    impostor.end()
    report["impostor heard"] = impostor.said()
    window.end()
    return report


if __name__ == "__main__":
    main()
