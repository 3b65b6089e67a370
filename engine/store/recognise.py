"""Files that Heddle wrote, recognised by what is in them: a second run over a folder does not read the first one's rows.

A name proves nothing: a user's own ``rows.csv`` is a document. Every export begins in a way of its own, and what does
not tell itself (a matrix, the texts of a folder, a journal's log) lies beside something that does.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
from collections.abc import Callable

from engine.store.workbook import MARK as WORKBOOK

HEAD = 65536
"""Bytes of a file's beginning that are looked at."""

APPLICATION = b"Hddl"
"""What SQLite keeps at offset 68 of a journal (its application_id); see schema.sql."""

REPORT_KEYS = frozenset(("task", "settings", "status", "counts", "seconds_with_start", "gil_share", "plan", "model"))
"""Some of the keys of a run's report (run_report.report), enough to tell it from any other JSON."""

TEXTS_INDEX = "_index.csv"
"""The index in a folder of texts (texts.INDEX)."""

_MARK = b"\xef\xbb\xbf"
_REPORT_LIMIT = 16 << 20
_CSV = re.compile(
    rb"path,name,state,reason,(?:.*,)?tokens,unknown_share,coverage,seconds,worker,encoding,(?:confidence,)?sha256\r\n",
    re.DOTALL,
)
_VECTORS = re.compile(rb"row,path,sha256(?:,encoding,confidence)?(?:,locator)?\r\n")
_TEXTS = re.compile(rb"file,path,state,reason,sha256(?:,encoding,confidence)?(?:,locator)?\r\n")
_STRING = rb'"(?:[^"\\]|\\.)*"'
_ROW = re.compile(
    rb'\{"path": %s, "sha256": "[0-9a-f]*", "encoding": %s, (?:"confidence": [0-9.e-]+, )?"state": "[a-z]+", '
    rb'"task": %s, "result": ' % (_STRING, _STRING, _STRING)
)
_MARKDOWN = re.compile(rb"# [^\n]*\n\n- Task: [^\n]*\n")
_MARKDOWN_TABLE = b"\n| document | state | result | tokens | coverage |\n|---|---|---|---:|---:|\n"
_MATRIX = b"\x93NUMPY"
_PACKAGE = b"PK\x03\x04"
_SQLITE = b"SQLite format 3\x00"
_BEGINNINGS = (_MARK + b"path,name", _MARK + b"row,path,", _MARK + b"file,path", b'{"path": ', b'{\n  "task": ', b"# ")
_BEGINNINGS += (_MATRIX, _SQLITE)
_BEGINNINGS += (_PACKAGE,)
_JOURNALS = re.compile(r"(?P<journal>.*?(?:\.journal|\.sqlite))(?=[-.])", re.DOTALL)


class Recogniser:
    """Tells Heddle's own files from others; remembers what the folders' indexes say."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._texts: dict[str, frozenset[str]] = {}

    def wrote(self, path: str) -> bool:
        """Tell whether Heddle wrote the regular file at ``path``; one that cannot be read is not known as such."""
        try:
            head = _head(path, 16)
            if head.startswith(_BEGINNINGS) and _tells(path, _head(path)):
                return True
        except (OSError, ValueError):
            return False
        return self._listed(path) or _beside_journal(path)

    def _listed(self, path: str) -> bool:
        folder, name = os.path.split(path)
        if folder not in self._texts:
            self._texts[folder] = texts_of(folder)
        return name in self._texts[folder]


def texts_of(folder: str) -> frozenset[str]:
    """Return the names in ``folder`` that an export of texts wrote, its index among them; none where there is none."""
    path = os.path.join(folder, TEXTS_INDEX)
    with contextlib.suppress(OSError, ValueError, csv.Error):
        if _TEXTS.match(_head(path).removeprefix(_MARK)):
            with open(path, encoding="utf-8-sig", newline="") as file:
                rows = csv.reader(file)
                next(rows, None)
                return frozenset((TEXTS_INDEX, *(row[0] for row in rows if row and row[0])))
    return frozenset()


def _head(path: str, size: int = HEAD) -> bytes:
    # Without O_NONBLOCK a FIFO put in the file's place at this moment would block for ever.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
        return file.read(size)


def _tells(path: str, head: bytes) -> bool:
    """Tell whether the beginning of a file says that it is ours."""
    text = head.removeprefix(_MARK)
    if text is not head and (_CSV.match(text) or _VECTORS.match(text) or _TEXTS.match(text)):
        return True
    kinds: tuple[tuple[bytes, Callable[[], bool]], ...] = (
        (b'{"path": ', lambda: bool(_ROW.match(head))),
        (b'{\n  "task": ', lambda: _is_report(path)),
        (b"# ", lambda: bool(_MARKDOWN.match(head)) and _MARKDOWN_TABLE in head),
        (_MATRIX, lambda: _has_index(path)),
        (_PACKAGE, lambda: WORKBOOK in head[:1024]),
        (_SQLITE, lambda: head[68:72] == APPLICATION),
    )
    return any(head.startswith(begin) and is_ours() for begin, is_ours in kinds)


def _is_report(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            value = json.loads(file.read(_REPORT_LIMIT))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(value, dict) and value.keys() >= REPORT_KEYS


def _has_index(path: str) -> bool:
    stem, extension = os.path.splitext(path)
    try:
        head = _head((stem if extension.lower() == ".npy" else path) + ".index.csv")
    except (OSError, ValueError):
        return False
    return bool(_VECTORS.match(head.removeprefix(_MARK)))


def _beside_journal(path: str) -> bool:
    """Tell whether a file is named after a journal that lies beside it: its log, its lock, an older state of it."""
    folder, name = os.path.split(path)
    for match in _JOURNALS.finditer(name):
        try:
            head = _head(os.path.join(folder, match["journal"]), 72)
        except (OSError, ValueError):
            continue
        if head.startswith(_SQLITE) and head[68:72] == APPLICATION:
            return True
    return False
