"""The files that an export writes, held against the documents of the pile: documents are never changed."""

from __future__ import annotations

import os
import unicodedata

from engine.api.state import State
from engine.errors import ExportError
from engine.store.cells import shown
from engine.store.record import Record

Place = tuple[int, int]
"""A file or folder by device and file number, whatever it is called."""


class Targets:
    """Files, and folders that are replaced with all in them, that are about to be written."""

    def __init__(self, *paths: str, folder: str = "") -> None:
        """Take note of what is at ``paths``, and at ``folder``, before anything is written."""
        self._real = {os.path.realpath(path): path for path in paths}
        self._files: dict[Place, str] = {}
        self._names: dict[tuple[Place | None, str], str] = {}
        for real, path in self._real.items():
            if place := _place(real):
                self._files[place] = path
            self._names[_place(os.path.dirname(real)), folded(os.path.basename(real))] = path
        self._folded = {name for _, name in self._names}
        self._folder = folder
        self._inside = _place(os.path.realpath(folder)) if folder else None
        self._places: dict[str, Place | None] = {}

    def met_by(self, path: str) -> str:
        """Return the target that is the file at ``path``, under any name of it, or that has its name; "" for none.

        Names count as the same when they differ in case or in the form of Unicode only: on other disks, and on this one
        when it is copied there, they are one file. Also a link to a target that is not there yet is that target.
        """
        if self._files and (place := _place(path)) and (found := self._files.get(place)):
            return found
        if folded(os.path.basename(path)) in self._folded:
            found = self._names.get((self._folder_of(path), folded(os.path.basename(path))))
            if found is not None:
                return found
        if self._inside and self._folder_of(os.path.realpath(path)) == self._inside:
            return self._folder
        return self._real.get(os.path.realpath(path), "") if os.path.islink(path) else ""

    def check(self, record: Record) -> None:
        """Raise ExportError if the file of a document is one of the targets; a text that has no file never is."""
        if record.state == State.OFFLINE or (not record.mtime_ns and not os.path.isabs(record.path)):
            return  # to look at a disk that is not there takes long
        if target := self.met_by(record.path):
            raise ExportError(refusal(target, record.path))

    def _folder_of(self, path: str) -> Place | None:
        folder = os.path.dirname(path) or "."
        if folder not in self._places:
            self._places[folder] = _place(folder)
        return self._places[folder]


def refusal(target: str, document: str) -> str:
    """Return what to tell when a target is a document."""
    named = "" if target == document else f" ({shown(document)})"
    return (
        f"{shown(target)} was not written: it is a document of this pile{named}, and documents are never changed. "
        "Choose another name."
    )


def folded(name: str) -> str:
    """Return a file name in the form in which names compare on disks that see neither case nor Unicode's forms."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _place(path: str) -> Place | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if status.st_ino else None
