"""One window a data folder: a second start gives its paths to the first one and ends.

The socket lies in a folder that only this user may enter, and a file in the data folder says where. Both ends ask the
system who the other one is, and say nothing to another user's process.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile

from PySide6.QtCore import QLockFile, QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from gui.peer import is_own, is_private

WAIT = 2000
"""Milliseconds that a second start waits for the first one to answer."""

ADDRESS = "heddle.address"
"""Name of the file in the data folder that says where the first window listens."""

_SOCKET = "heddle.socket"
_FRESH = "heddle-window-"  # beginning of the name of a folder made for the socket alone
_LONGEST = 90
"""Bytes that the path of a socket may have: sun_path holds 104 on macOS, and Qt needs some of them (unix(7))."""

_MOST = 64 * 1024 * 1024
"""Bytes of paths that are taken from a second start."""


def _beside(folder: str) -> str:
    """Return a private folder for the socket: the data folder, or a fresh one where that is open or its path long."""
    if is_private(folder) and len(os.fsencode(os.path.join(folder, _SOCKET))) <= _LONGEST:
        return folder
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    places = [runtime] if is_private(runtime) else []
    places += [tempfile.gettempdir(), "/tmp"]  # noqa: S108 - mkdtemp makes a folder that is this user's alone
    room = _LONGEST - len(_FRESH) - len(_SOCKET) - 10  # of a folder's path; mkdtemp adds eight characters
    short = [place for place in places if len(os.fsencode(place)) <= room and os.path.isdir(place)]
    # mkdtemp makes the folder itself, for this user alone, under a name that nobody could know before.
    return tempfile.mkdtemp(prefix=_FRESH, dir=(short or places)[0])


def _pipe(folder: str) -> str:
    """Return the name of the pipe for a data folder, where local sockets are no files (Windows)."""
    return "heddle-" + hashlib.sha256(os.path.realpath(folder).encode("utf-8", "surrogateescape")).hexdigest()[:20]


class SingleInstance(QObject):
    """Holds the lock of a data folder and listens for later starts. ``called`` gives their paths."""

    called = Signal(list)

    def __init__(self, folder: str, parent: QObject | None = None) -> None:
        """Be about ``folder``, which has to exist."""
        super().__init__(parent)
        self._folder = folder
        self._address = os.path.join(folder, ADDRESS)
        self._lock = QLockFile(os.path.join(folder, "heddle.lock"))
        self._lock.setStaleLockTime(0)  # a lock is stale when its process is gone, never by age
        self._server: QLocalServer | None = None

    def claim(self) -> bool:
        """Return whether this is the first window of the folder; if so, listen for others."""
        if not self._lock.tryLock(0):
            return False
        self._tidy()  # what a killed window left; the lock says that it is gone
        self._server = QLocalServer(self)
        self._server.newConnection.connect(self._connected)
        if sys.platform == "win32":
            self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
            self._server.listen(_pipe(self._folder))
            return True
        # A window that cannot be called is better than none: a second start then says that the first does not answer.
        with contextlib.suppress(OSError):
            folder = _beside(self._folder)
            path = os.path.join(folder, _SOCKET)
            if self._server.listen(path):
                os.chmod(path, 0o600)
                self._tell(path)
            elif folder != self._folder:
                os.rmdir(folder)
        return True

    def call(self, paths: list[str]) -> bool:
        """Give ``paths`` to the first window and ask it to come forward; returns whether it took them."""
        where = _pipe(self._folder) if sys.platform == "win32" else self._told()
        if not where:
            return False
        connection = QLocalSocket()
        connection.connectToServer(where)
        if not connection.waitForConnected(WAIT) or not is_own(connection.socketDescriptor()):
            return False
        connection.write(json.dumps(paths).encode("ascii") + b"\n")
        heard = connection.waitForBytesWritten(WAIT) and connection.waitForReadyRead(WAIT)
        connection.disconnectFromServer()
        return heard

    def close(self) -> None:
        """Stop listening and let another window have the folder."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._tidy()
        self._lock.unlock()

    # ----------------------------------------------------------------------------------------------------- where it listens
    def _told(self) -> str:
        """Return where the first window says that it listens, "" where it says nothing."""
        try:
            with open(self._address, encoding="utf-8", errors="surrogateescape") as file:
                return file.read(4096).strip()
        except OSError:
            return ""

    def _tell(self, path: str) -> None:
        """Write down where this window listens."""
        new = f"{self._address}.new"
        with open(
            os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8", errors="surrogateescape"
        ) as file:
            file.write(path)
        os.replace(new, self._address)

    def _tidy(self) -> None:
        """Take away the socket of the last window, and the folder that was made for it."""
        path = self._told()
        folder = os.path.dirname(path)
        with contextlib.suppress(OSError):
            os.unlink(self._address)
        if os.path.basename(path) == _SOCKET and is_private(folder):
            with contextlib.suppress(OSError):
                os.unlink(path)
            if os.path.basename(folder).startswith(_FRESH):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)

    # ------------------------------------------------------------------------------------------------------------ later starts
    def _connected(self) -> None:
        while self._server is not None and (connection := self._server.nextPendingConnection()) is not None:
            connection.disconnected.connect(connection.deleteLater)
            if not is_own(connection.socketDescriptor()):
                connection.abort()
                continue
            connection.setReadBufferSize(_MOST)
            connection.readyRead.connect(lambda connection=connection: self._read(connection))
            self._read(connection)

    def _read(self, connection: QLocalSocket) -> None:
        if not connection.canReadLine():
            return
        try:
            paths = json.loads(bytes(connection.readLine().data()))
        except ValueError:
            return
        connection.write(b"ok\n")
        connection.flush()
        self.called.emit([path for path in paths if isinstance(path, str)] if isinstance(paths, list) else [])
