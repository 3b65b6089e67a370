"""Opening a file of a model folder: regular files only, so that a pipe or a device can neither block nor run on."""

from __future__ import annotations

import os
import stat
from typing import BinaryIO


class IrregularFileError(OSError):
    """A pipe, a socket, a device or a folder where a file belongs."""


def open_regular(path: str) -> BinaryIO:
    """Return ``path`` open for reading in binary, links followed.

    Raises IrregularFileError for what is no regular file, OSError as ``open`` does otherwise.
    """
    # Asked before opening, because opening a device can do something; and again afterwards, because a pipe may have
    # been put in the file's place meanwhile. Without O_NONBLOCK opening that would block for ever.
    _refuse(os.stat(path).st_mode, path)
    file = open(path, "rb", opener=_open)  # noqa: SIM115 - the caller closes it
    try:
        _refuse(os.fstat(file.fileno()).st_mode, path)
    except BaseException:
        file.close()
        raise
    return file


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def _refuse(mode: int, path: str) -> None:
    if not stat.S_ISREG(mode):
        raise IrregularFileError(None, "not a regular file", path)


def special(mode: int) -> str:
    """Return what a file of this ``mode`` is, with its article, where it is neither a file nor a folder; else empty."""
    kinds = (
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((name for test, name in kinds if test(mode)), "")
