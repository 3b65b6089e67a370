"""One text file for each done document, in a folder that takes its place whole."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterator

import numpy as np

from engine.api.state import State
from engine.errors import ExportError
from engine.store.cells import cell, path_text, shown
from engine.store.disk import sync_folder
from engine.store.leftovers import beside, hold, sweep
from engine.store.recognise import TEXTS_INDEX, texts_of
from engine.store.record import Record, Result
from engine.store.replacement import sentence

INDEX = TEXTS_INDEX
"""The file beside the texts that tells which document each of them belongs to, and what became of the others."""

_HEADER = ["file", "path", "state", "reason", "sha256", "encoding", "confidence"]
_BYTES = 120
"""Longest name in bytes, with room for a number; file systems take 255, copies onto others less."""
_FORBIDDEN = re.compile(
    '[\x00-\x1f\x7f-\x9f<>:"/\\\\|?*\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]'
)
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$|clock\$)(\..*)?$", re.IGNORECASE)


class Names:
    """Safe names, each given once, also on file systems that take ``A`` and ``a`` for the same."""

    def __init__(self) -> None:
        """Start with the index's name taken."""
        self._taken = {_folded(INDEX)}
        self._next: dict[str, int] = {}

    def give(self, path: str, locator: str = "") -> str:
        """Return a name for the text of the document at ``path``: ``letter.txt``, ``letter (2).txt``, ``table, row 3.txt``."""
        name = os.path.basename(path_text(path).replace("\\", "/").rstrip("/"))
        stem = safe_stem(name.rsplit(".", 1)[0] if "." in name.lstrip(".") else name)
        if locator:
            stem = safe_stem(f"{stem[:60]}, {locator}")
        number = self._next.get(_folded(stem), 1)
        while True:
            given = f"{stem}.txt" if number == 1 else f"{stem} ({number}).txt"
            number += 1
            if _folded(given) not in self._taken:
                self._taken.add(_folded(given))
                self._next[_folded(stem)] = number
                return given


def safe_stem(text: str) -> str:
    """Return ``text`` as the beginning of a file name that every common system takes and shows as it is."""
    text = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", text)).strip(" ")
    while len(text.encode("utf-8")) > _BYTES:
        text = text[:-1]
    text = text.strip(". ") or "document"
    # A name that begins with a dash is an option to many programs, one with a tilde a folder to shells.
    if text[0] in "-~" or _RESERVED.match(text):
        text = f"_{text}"
    return text


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def write_texts(folder: str, rows: Iterator[tuple[Record, Result | None]], *, parts: bool = False) -> int:
    """Write a text for each done document of ``rows`` into ``folder``, and the index; returns the number of documents.

    A text is what the model wrote, or else the result as JSON. All is written into a folder beside it, which then takes
    its place; a folder of an earlier export is replaced. Raises ExportError, and leaves everything as it was, when
    something in the folder is not of such an export or when the disk refuses. With ``parts``, the index has a column for
    the parts of files that documents are.
    """
    target = os.path.realpath(folder)
    _check(folder, target)
    sweep(os.path.dirname(target))
    new = beside(target)
    old = f"{new}.old"
    try:
        os.mkdir(new)
        with _held(new):
            count = _fill(new, rows, parts=parts)
        if os.path.isdir(target):
            os.rename(target, old)
        try:
            os.rename(new, target)
        except OSError:
            if os.path.isdir(old):
                os.rename(old, target)
            raise
        sync_folder(target)
    except BaseException as error:
        shutil.rmtree(new, ignore_errors=True)
        if isinstance(error, OSError):
            raise ExportError(sentence(folder, error, 0)) from error
        raise
    shutil.rmtree(old, ignore_errors=True)
    return count


@contextlib.contextmanager
def _held(folder: str) -> Iterator[None]:
    """Hold a folder that is being filled, where the system can."""
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        hold(descriptor)
        yield
    finally:
        os.close(descriptor)


def check_folder(folder: str) -> None:
    """Raise ExportError unless ``folder`` is not there, empty, or holds an earlier export and nothing else."""
    _check(folder, os.path.realpath(folder))


def _check(folder: str, target: str) -> None:
    if not os.path.lexists(target):
        return
    if not os.path.isdir(target):
        raise ExportError(f"{shown(folder)} was not written: it is a file. Give the name of a folder.")
    ours = texts_of(target)
    for name in os.listdir(target):
        if name not in ours:
            raise ExportError(
                f"{shown(folder)} was not written: {shown(name)} in it is not of an earlier export. "
                "Choose another folder, or an empty one."
            )


def _fill(folder: str, rows: Iterator[tuple[Record, Result | None]], *, parts: bool) -> int:
    names = Names()
    index = io.StringIO()
    table = csv.writer(index, lineterminator="\r\n")
    table.writerow([*_HEADER, *(["locator"] if parts else [])])
    count = 0
    for record, result in rows:
        count += 1
        name = ""
        if result is not None and record.state == State.DONE:
            name = names.give(record.path, record.locator)
            _write(os.path.join(folder, name), _text(result))
        table.writerow(
            [
                name,
                cell(path_text(record.path)),
                record.state,
                cell(record.reason),
                cell(record.sha256),
                cell(record.encoding),
                record.confidence,
                *([cell(record.locator)] if parts else []),
            ]
        )
    _write(os.path.join(folder, INDEX), "\ufeff" + index.getvalue())
    sync_folder(os.path.join(folder, INDEX))
    return count


def _write(path: str, text: str) -> None:
    with open(path, "xb") as file:
        file.write(text.encode("utf-8", "backslashreplace"))
        file.flush()
        os.fsync(file.fileno())


def _text(result: Result) -> str:
    text = result.value.get("text")
    if isinstance(text, str):
        return text if text.endswith("\n") else text + "\n"
    value = dict(result.value)
    if result.vector is not None:
        value["vector"] = [float(str(number)) for number in np.frombuffer(result.vector, "<f4")]
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
