"""Dropped files as paths, byte for byte."""

from __future__ import annotations

import os
import sys
from urllib.parse import unquote_to_bytes

from PySide6.QtCore import QMimeData


def local_paths(mime: QMimeData) -> list[str]:
    """Return the local paths that a drop carries, as ``os.fsdecode`` gives them.

    QUrl.toLocalFile() replaces bytes that are not UTF-8, so on systems whose file names are bytes the URLs are read
    from the list itself. Addresses on other machines are left out.
    """
    if sys.platform == "win32":
        return [os.path.normpath(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]
    paths: list[str] = []
    for line in bytes(mime.data("text/uri-list").data()).splitlines():
        if line.startswith(b"#"):
            continue
        scheme, _, rest = line.strip().partition(b"://")
        host, slash, path = rest.partition(b"/")
        if scheme.lower() == b"file" and slash and host in (b"", b"localhost"):
            paths.append(os.fsdecode(b"/" + unquote_to_bytes(path)))
    return paths
