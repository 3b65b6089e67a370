"""One window a data folder: a second start gives its paths to the first one and ends."""

from __future__ import annotations

import hashlib
import json
import os

from PySide6.QtCore import QLockFile, QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

WAIT = 2000
"""Milliseconds that a second start waits for the first one to answer."""


def _address(folder: str) -> str:
    """Return the name of the local socket for a data folder; socket names have to be short."""
    return "heddle-" + hashlib.sha256(os.path.realpath(folder).encode("utf-8", "surrogateescape")).hexdigest()[:20]


class SingleInstance(QObject):
    """Holds the lock of a data folder and listens for later starts. ``called`` gives their paths."""

    called = Signal(list)

    def __init__(self, folder: str, parent: QObject | None = None) -> None:
        """Be about ``folder``, which has to exist."""
        super().__init__(parent)
        self._address = _address(folder)
        self._lock = QLockFile(os.path.join(folder, "heddle.lock"))
        self._lock.setStaleLockTime(0)  # a lock is stale when its process is gone, never by age
        self._server: QLocalServer | None = None

    def claim(self) -> bool:
        """Return whether this is the first window of the folder; if so, listen for others."""
        if not self._lock.tryLock(0):
            return False
        QLocalServer.removeServer(self._address)  # what a killed window left; the lock says that it is gone
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._connected)
        self._server.listen(self._address)
        return True

    def call(self, paths: list[str]) -> bool:
        """Give ``paths`` to the first window and ask it to come forward; returns whether it took them."""
        socket = QLocalSocket()
        socket.connectToServer(self._address)
        if not socket.waitForConnected(WAIT):
            return False
        socket.write(json.dumps(paths).encode("ascii") + b"\n")
        heard = socket.waitForBytesWritten(WAIT) and socket.waitForReadyRead(WAIT)
        socket.disconnectFromServer()
        return heard

    def close(self) -> None:
        """Stop listening and let another window have the folder."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._lock.unlock()

    def _connected(self) -> None:
        while self._server is not None and (socket := self._server.nextPendingConnection()) is not None:
            socket.readyRead.connect(lambda socket=socket: self._read(socket))
            socket.disconnected.connect(socket.deleteLater)
            self._read(socket)

    def _read(self, socket: QLocalSocket) -> None:
        if not socket.canReadLine():
            return
        try:
            paths = json.loads(bytes(socket.readLine().data()))
        except ValueError:
            return
        socket.write(b"ok\n")
        socket.flush()
        self.called.emit([path for path in paths if isinstance(path, str)] if isinstance(paths, list) else [])
