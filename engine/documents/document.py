"""The document: one file of the pile, and what is known of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.documents.long_text import LongText


Columns = tuple[tuple[str, str], ...]
"""Columns of a table's row, with what stands in them, in the table's order."""

_LATEST = 2**63 - 1
"""The largest time in nanoseconds that is told from others, in the year 2262."""


@dataclass(frozen=True, slots=True)
class Source:
    """A regular file that the walk found, or one document in it, before anything was read from it.

    ``path`` is the file name as the operating system gave it (``os.fsdecode``: bytes that are not UTF-8 survive as
    lone surrogates); ``size`` in bytes, ``mtime_ns`` in nanoseconds since the epoch, at most 64 bits of them: a file can
    be dated in the year 2300, and nothing that keeps its time has to know of such. ``locator`` says which part of the
    file the document is, as its reader names it (documents.readers), and is empty for a whole file; ``size`` is then
    that of the part.
    """

    path: str
    size: int
    mtime_ns: int
    locator: str = ""

    def __post_init__(self) -> None:
        """Bound the time."""
        if not -_LATEST <= self.mtime_ns <= _LATEST:
            object.__setattr__(self, "mtime_ns", _LATEST if self.mtime_ns > 0 else -_LATEST)

    def is_as(self, status: os.stat_result) -> bool:
        """Tell whether the file that ``status`` is of is still this one: by time of change, and by size if it is whole."""
        now = Source(self.path, status.st_size, status.st_mtime_ns)
        return now.mtime_ns == self.mtime_ns and (bool(self.locator) or now.size == self.size)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A path that was not taken, with the reason as the user reads it, such as ``skipped: not a regular file``."""

    path: str
    reason: str
    again: str = field(default="", compare=False)
    """Where the same file was found before."""


@dataclass(frozen=True, slots=True)
class Text:
    """The decoded text of one document.

    ``sha256`` is the hex digest of the file's bytes, or of a part's text in UTF-8 and its columns; ``encoding`` the codec's name (``utf-8``, ``utf-16-le``, ...);
    ``confidence`` is 1.0 when the encoding is certain (BOM, strict UTF-8, chosen by the user) and below 1.0 when a
    library detected it, and then the row shows it as a suggestion. ``replaced`` counts the characters that stand for
    bytes that could not be decoded (only under the policy ``replace``). ``long`` stands for a text that is too long to
    hold; ``text`` is empty then.
    """

    text: str
    sha256: str
    encoding: str
    confidence: float
    replaced: int = 0
    long: LongText | None = None
    note: str = ""
    """What a row should tell of the file, such as what of it was not read."""
    columns: Columns = ()
    """The other columns of a row of a table, which ``sha256`` stands for as well."""
    problem: str = ""
    """Why this part of its file cannot be read, where the others can."""


def note_of(text: Text) -> str:
    """Return what a row tells of how its text was read, or nothing."""
    notes = [f"{text.replaced} bad bytes were replaced"] if text.replaced else []
    return "; ".join([*notes, text.note] if text.note else notes)
