"""Opening a document's file: for reading only, only if it is a regular file, and only if it is the one that was added."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO

from engine.documents.document import Source
from engine.documents.offline import is_offline
from engine.documents.walk import not_regular, why_not
from engine.errors import DocumentError


class NotADocument(DocumentError):
    """A file that is no text, or holds none: its row is skipped, not failed."""


class Offline(DocumentError):
    """A file whose disk or share is not there; it can be read when that is back."""


@contextlib.contextmanager
def opened(source: Source, device: int | None) -> Iterator[BinaryIO]:
    """Hold the file of ``source`` open; ``device`` is the file system that its folder was on when it was added, if known.

    Raises, also for what fails while it is held: NotADocument, Offline, DocumentError.
    """
    try:
        _check(source, os.stat(source.path))
        # Without O_NONBLOCK a FIFO put in the file's place at this moment would block for ever.
        with open(source.path, "rb", opener=_open) as file:
            _check(source, os.fstat(file.fileno()))
            yield file
            _check(source, os.fstat(file.fileno()))
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and is_offline(source.path, error, device):
            raise Offline("source offline: its folder is not there; it goes on when that is back") from error
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise DocumentError("missing: the file is gone") from error
        raise DocumentError(why_not(error, source.path)) from error


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def _check(source: Source, status: os.stat_result) -> None:
    """Refuse what is not the regular file that ``source`` describes."""
    if not stat.S_ISREG(status.st_mode):
        raise NotADocument(not_regular(status.st_mode))
    if not source.is_as(status):
        raise DocumentError("changed since it was added")
    if not status.st_size:
        raise NotADocument("empty")
