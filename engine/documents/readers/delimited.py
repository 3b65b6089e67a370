"""Tables as text: CSV and its kind, whatever separates the cells."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from typing import BinaryIO

from engine.documents import signatures
from engine.documents.readers import tables
from engine.documents.readers.base import Decode, Part
from engine.documents.readers.tables import Row, Table, TableReader

_ENDINGS = (".csv", ".tsv", ".tab")
_SEPARATORS = (",", ";", "\t", "|")
_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+\Z")
_LOOKED_AT = 100
"""Rows by which the separator is told, and whether there is a header."""
_EVEN = 0.8
"""Share of rows that must have as many cells as most: what is below is text with commas in it."""
_TEXT_NAMES = frozenset(
    [
        "text",
        "texts",
        "review",
        "reviews",
        "comment",
        "comments",
        "message",
        "messages",
        "content",
        "body",
        "sentence",
        "abstract",
        "description",
        "title",
        "question",
        "answer",
        "feedback",
        "tweet",
        "post",
        "summary",
        "note",
        "notes",
        "文本",
        "内容",
        "评论",
        "正文",
    ]
)
"""Names by which a file with a single column is told from text of one word a line."""

csv.field_size_limit(1 << 30)  # a cell may be as long as a document; the library would refuse 131,072 characters


class Delimited(TableReader):
    """Reads CSV, TSV and their kind: a document a row."""

    name = "table"
    plain = True

    @classmethod
    def takes(cls, path: str, head: bytes) -> bool:
        """Tell whether it is called a table and its lines fall into columns; else it is plain text."""
        if not path.lower().endswith(_ENDINGS) or signatures.not_plain(head):
            return False
        rows = _sample(_roughly(head), whole=len(head) < signatures.HEAD)
        return _separator(rows, path) != "" or _is_single_column(rows)

    def parts(self, file: BinaryIO, decode: Decode) -> Iterator[Part]:
        """Walk the rows; the file's text is held meanwhile."""
        found = decode(file.read())
        yield from tables.parts_of(found, _table(found.text, file.name), self.column)


def _roughly(head: bytes) -> str:
    """Return the beginning of a file as text in which the separators and line ends are right, if nothing else."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return head.decode("utf-16", "replace")
    return head.removeprefix(b"\xef\xbb\xbf").decode("latin-1")


def _lines(text: str) -> Iterator[str]:
    return (match[0] for match in _LINE.finditer(text))


def _sample(text: str, *, whole: bool) -> list[str]:
    """Return the first lines of a text; the last of what is not whole may be cut, and is left out."""
    lines = list(islice(_lines(text), 5 * _LOOKED_AT))
    return lines if whole or len(lines) < 3 else lines[:-1]


def _rows(lines: Iterator[str] | list[str], separator: str) -> Iterator[list[str]]:
    return csv.reader(lines, delimiter=separator or "\x1f", doublequote=True)


def _separator(lines: list[str], path: str) -> str:
    """Return what separates the cells: what cuts most rows into the same number of them, at least two; else nothing."""
    best, share = "", (0.0, 0)
    for separator in _SEPARATORS:
        widths = Counter(len(row) for row in islice(_rows(lines, separator), _LOOKED_AT) if row)
        if not widths:
            continue
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
        even = count / widths.total()
        if separator == "\t" and not path.lower().endswith(".csv"):
            even += 0.1
        if width > 1 and widths.total() > 1 and even >= _EVEN and (even, width) > share:
            best, share = separator, (even, width)
    return best


def _is_single_column(lines: list[str]) -> bool:
    first = lines[0].strip().strip('"').strip().casefold() if lines else ""
    return len(lines) > 1 and first in _TEXT_NAMES


def _table(text: str, path: str) -> Table:
    separator = _separator(_sample(text[: signatures.HEAD], whole=len(text) < signatures.HEAD), path)
    rows = _rows(_lines(text), separator)
    first = list(islice(rows, _LOOKED_AT))
    titled = tables.has_header(first) or not separator
    columns = tables.names(first[0] if titled else [""] * max(map(len, first), default=0))
    numbered = enumerate(chain(first, rows), 1)
    return Table(columns, (Row(f"row {number}", cells) for number, cells in numbered if number > titled))
