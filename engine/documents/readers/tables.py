"""Tables: each row is a document, the text of one of its cells; the other columns are kept beside it."""

from __future__ import annotations

import atexit
import os
import re
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import BinaryIO

from engine.api.table_row import column_of, row_locator
from engine.documents.blank import is_blank
from engine.documents.document import Columns, Text
from engine.documents.readers.base import Decode, Part, Reader
from engine.errors import DocumentError

SAMPLE = 200
"""Rows that are looked at to find the column of texts."""

_LONGEST_NAME = 60
_COUNTED = 2000
"""Characters of a cell that count for its column: one very long cell does not decide alone."""

_NO_TEXT = re.compile(r"[a-z][a-z0-9+.-]*://\S*|[0-9a-fA-F-]{16,}|\S+@\S+|[\d\s.,:/+%$€£¥-]+", re.IGNORECASE)
"""Addresses, keys and numbers: long, and no text."""

_NUMBER = re.compile(r"[-+]?[\d.,:/% ]*\d[\d.,:/% -]*")


@dataclass(frozen=True, slots=True)
class Row:
    """A row: where it is, as people count ("row 3"), and its cells; or why it cannot be read.

    ``more`` is what stands in columns that the table had not named before.
    """

    place: str
    cells: Sequence[str] = ()
    more: Columns = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Names of columns, each there once (``names``), and the rows."""

    columns: tuple[str, ...]
    rows: Iterator[Row]


class TableReader(Reader):
    """Reads a table; a row is found again by its locator, which names row and column."""

    def part(self, file: BinaryIO, decode: Decode, locator: str) -> Part | None:
        """Return the row at ``locator``, None when there is none."""
        self.column = column_of(locator)
        status = os.fstat(file.fileno())
        chosen = tuple(sorted(getattr(decode, "keywords", {}).items()))  # how the job reads its files
        key = (self.name, status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size, self.column, chosen)
        return find_again(key, lambda: self.parts(file, decode), locator)


def names(header: Sequence[str]) -> tuple[str, ...]:
    """Return the names of columns on one line and within bounds, each there once; nameless ones are numbered."""
    found: list[str] = []
    for number, title in enumerate(header, 1):
        name = plain = " ".join(title.split())[:_LONGEST_NAME] or f"column {number}"
        again = 2
        while name in found:
            name = f"{plain} ({again})"
            again += 1
        found.append(name)
    return tuple(found)


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether the first row names the columns: short words, no numbers, none of them met again below."""
    if len(rows) < 2:
        return False
    header = [cell.strip() for cell in rows[0]]
    named = [cell for cell in header if cell]
    if not named or 2 * len(named) < len(header):
        return False
    if any(len(cell) > 80 or _NUMBER.fullmatch(cell) for cell in named):
        return False
    below = [row[place].strip() for row in rows[1:] for place in range(min(len(row), len(header))) if header[place]]
    return not set(named) & set(below)


def parts_of(file: Text, table: Table, column: str) -> Iterator[Part]:
    """Walk the rows of a table, which was read from ``file``, as documents: the text is the cell of ``column``, or of the column with the longest texts.

    A locator names the row, and the column where there are others, so that it finds the cell again. A row without
    anything in it is left out. Raises DocumentError that lists the columns when ``column`` is not among them.
    """
    sample = list(islice(table.rows, SAMPLE))
    text = _text_column(table.columns, sample, column)
    several = len(table.columns) > 1
    for row in chain(sample, table.rows):
        locator = row_locator(row.place, table.columns[text] if several else "")
        if row.problem:
            yield Part(locator, "", problem=row.problem)
            continue
        cells = [*row.cells, *[""] * (len(table.columns) - len(row.cells))]
        if all(map(is_blank, cells)) and not row.more:
            continue
        titles = table.columns
        if len(cells) > len(titles) or row.more:
            titles = names([*titles, *[""] * (len(cells) - len(titles)), *(name for name, _ in row.more)])
        held = zip(titles, [*cells, *(cell for _, cell in row.more)], strict=True)
        kept = tuple(item for place, item in enumerate(held) if place != text)
        bad = file.replaced if "\ufffd" in cells[text] else 0
        yield Part(locator, cells[text], file.encoding, file.confidence, bad, columns=kept)


def _text_column(columns: tuple[str, ...], sample: Sequence[Row], wanted: str) -> int:
    if wanted:
        name = " ".join(wanted.split())[:_LONGEST_NAME]
        if name in columns:
            return columns.index(name)
        folded = [one.casefold() for one in columns]
        if folded.count(name.casefold()) == 1:
            return folded.index(name.casefold())
        raise DocumentError(f"has no column {name!r}; its columns are: {', '.join(columns)}")
    lengths = [0] * len(columns)
    for row in sample:
        for place, cell in enumerate(row.cells[: len(columns)]):
            if not _NO_TEXT.fullmatch(cell[:_COUNTED].strip()):
                lengths[place] += min(len(cell), _COUNTED)
    return max(range(len(columns)), key=lambda place: lengths[place]) if columns else 0


# ------------------------------------------------------------------------------------------------------ rows found again
_BLOCK = 4096
"""Rows that a cursor can go back: workers ask for rows in about the order in which they lie."""

_CURSORS = 4
"""Cursors that are kept: a table is read by several workers at once."""


@dataclass(slots=True)
class _Cursor:
    key: Hashable
    parts: Iterator[Part]
    passed: dict[str, Part] = field(default_factory=dict)
    """The last parts that it came by, by locator."""

    def find(self, locator: str) -> Part | None:
        found = self.passed.get(locator)
        while found is None:
            part = next(self.parts, None)
            if part is None:
                return None
            self.passed[part.locator] = part
            if len(self.passed) > _BLOCK:
                del self.passed[next(iter(self.passed))]
            if part.locator == locator:
                return part
        return found


_kept: list[_Cursor] = []
_lock = threading.Lock()


def find_again(key: Hashable, begin: Callable[[], Iterator[Part]], locator: str) -> Part | None:
    """Return the part at ``locator`` of the table that ``key`` stands for, None when it has none.

    Goes on where an earlier call for the same table stopped, or begins anew: rows asked for in order cost one walk in
    all. No lock is held while a file is read.
    """
    with _lock:
        cursor = next((one for one in reversed(_kept) if one.key == key), None)
        if cursor is not None:
            _kept.remove(cursor)
    found = None if cursor is None else cursor.find(locator)
    if cursor is None or found is None:
        cursor = _Cursor(key, begin())
        found = cursor.find(locator)
    with _lock:
        _kept.append(cursor)
        del _kept[:-_CURSORS]
    return found


def forget() -> None:
    """Give back what is kept of tables."""
    with _lock:
        _kept.clear()


atexit.register(forget)  # what is half walked is not to be ended when the interpreter is half gone
