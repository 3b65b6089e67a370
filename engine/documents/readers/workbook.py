"""Workbooks (xlsx): a document a row of each sheet, with the values that were shown when the file was saved.

Formulas give the value that was kept with them; of merged cells the first has the text. Hidden sheets and rows are read
like all others. Source of the layout: ECMA-376, part 1, 18.3 (worksheets), 18.4 (shared strings), 18.8 (styles).
"""

from __future__ import annotations

import datetime as dt
import io
import posixpath
import re
from collections.abc import Iterator
from itertools import chain, islice
from typing import BinaryIO
from xml.etree.ElementTree import Element

from engine.documents.document import Text
from engine.documents.readers import tables
from engine.documents.readers.base import Decode, Part
from engine.documents.readers.packed import Package, local, no_doctype, starts_package
from engine.documents.readers.tables import SAMPLE, Row, Table, TableReader
from engine.errors import DocumentError

_WIDEST = 16_384
"""Columns of a sheet, by the format's own limit."""

_DATES = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
"""Number formats of dates and times that every file has without naming them (18.8.30)."""
_QUOTED = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.|_.')
_DATED = re.compile(r"[ymdhs]", re.IGNORECASE)
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")
"""Characters that XML cannot hold (22.9.2.19)."""
_PLACE = re.compile(r"([A-Z]{1,3})(\d+)")


class Workbook(TableReader):
    """Reads the sheets of a workbook as tables."""

    name = "Excel workbook"

    @classmethod
    def takes(cls, path: str, head: bytes) -> bool:
        """Tell whether it is a package with a folder ``xl``."""
        return starts_package(head, b"xl/") or (
            starts_package(head, b"[Content_Types].xml") and path.lower().endswith((".xlsx", ".xlsm"))
        )

    def parts(self, file: BinaryIO, decode: Decode) -> Iterator[Part]:
        """Walk the rows, sheet by sheet; the texts that cells share are held meanwhile.

        A sheet without the column that was asked for says so in a document of its own, unless it is the only one.
        """
        book = _Book(Package(io.BytesIO(file.read())))  # rows are found again when the file is closed
        about = Text("", "", self.name, 1.0)
        several = len(book.sheets) > 1
        for sheet, member in book.sheets:
            table = book.table(member, f" of {sheet}" if several else "")
            if table is None:
                continue
            try:
                yield from tables.parts_of(about, table, self.column)
            except DocumentError as error:
                if not several:
                    raise
                yield Part(f"sheet {sheet}", "", problem=str(error))


class _Book:
    """What all sheets share."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._names = set(package.names())
        root = package.xml("xl/workbook.xml")
        relations = {
            item.get("Id", ""): item.get("Target", "") for item in package.xml("xl/_rels/workbook.xml.rels").iter()
        }
        found: list[tuple[str, str]] = []
        self._epoch = dt.datetime(1899, 12, 30, tzinfo=dt.UTC)
        for item in root.iter():
            if local(item.tag) == "workbookPr" and item.get("date1904") in ("1", "true"):
                self._epoch = dt.datetime(1904, 1, 1, tzinfo=dt.UTC)
            if local(item.tag) == "sheet":
                relation = next((value for key, value in item.attrib.items() if local(key) == "id"), "")
                target = relations.get(relation, "")
                member = target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"xl/{target}")
                if member in self._names and "worksheet" in member:
                    found.append((item.get("name", "").replace(", ", "; "), member))
        self.sheets = list(zip(tables.names([name for name, _ in found]), (member for _, member in found), strict=True))
        """Name and member of each sheet, in their order."""
        self._shared = self._strings() if "xl/sharedStrings.xml" in self._names else []
        self._dated = self._date_styles() if "xl/styles.xml" in self._names else set[int]()

    def _strings(self) -> list[str]:
        target = _Cells()
        for _ in self._package.walk("xl/sharedStrings.xml", target):
            pass
        return target.strings

    def _date_styles(self) -> set[int]:
        root = self._package.xml("xl/styles.xml")
        codes = {
            item.get("numFmtId", ""): item.get("formatCode", "") for item in root.iter() if local(item.tag) == "numFmt"
        }
        styles = next((item for item in root.iter() if local(item.tag) == "cellXfs"), Element("none"))
        found: set[int] = set()
        for place, style in enumerate(styles):
            number = style.get("numFmtId", "0")
            if number in codes:
                dated = _DATED.search(_QUOTED.sub("", codes[number])) is not None
            else:
                dated = number.isdecimal() and int(number) in _DATES
            if dated:
                found.add(place)
        return found

    def table(self, member: str, of: str) -> Table | None:
        """Return a sheet as a table whose rows are named with ``of`` behind them, None for an empty one."""
        rows = self._rows(member)
        first = list(islice(rows, SAMPLE))
        if not first:
            return None
        width = max(len(cells) for _, cells in first)
        titled = tables.has_header([cells for _, cells in first])
        columns = tables.names([*first[0][1], *[""] * (width - len(first[0][1]))] if titled else [""] * width)
        left = chain(first[titled:], rows)
        return Table(columns, (Row(f"row {number}{of}", cells) for number, cells in left))

    def _rows(self, member: str) -> Iterator[tuple[int, list[str]]]:
        """Walk the rows that have anything in them: their number, and their cells."""
        target = _Cells()
        for _ in chain(self._package.walk(member, target), (None,)):
            for number, cells in target.taken():
                texts = [""] * (1 + max((place for place, _, _, _ in cells), default=-1))
                for place, kind, style, value in cells:
                    texts[place] = self._text(kind, style, value)
                if any(texts):
                    yield number, texts

    def _text(self, kind: str, style: int, value: str) -> str:
        if kind == "s":
            return self._shared[int(value)] if value.isdecimal() and int(value) < len(self._shared) else ""
        if kind == "b":
            return {"0": "FALSE", "1": "TRUE"}.get(value, value)
        if kind not in ("n", "") or not value:
            return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), value)
        try:
            number = float(value)
            if style in self._dated and 0 <= number < 2_958_466:  # up to the year 9999
                return self._date(number)
        except ValueError:
            return value
        return f"{number:.15g}"

    def _date(self, number: float) -> str:
        when = self._epoch + dt.timedelta(seconds=round(number * 86_400))
        if number < 1:
            return when.time().isoformat()
        return when.date().isoformat() if when.time() == dt.time() else when.replace(tzinfo=None).isoformat(" ")


class _Cells:
    """Takes what an XML parser tells of a sheet or of the shared strings."""

    def __init__(self) -> None:
        self.strings: list[str] = []
        """Shared strings."""
        self._rows: list[tuple[int, list[tuple[int, str, int, str]]]] = []
        self._row: list[tuple[int, str, int, str]] = []
        self._number = 0
        self._column, self._kind, self._style = -1, "", 0
        self._text: list[str] = []
        self._heard = False
        self._spoken = 0
        """How deep we are in phonetic readings, which repeat the text."""

    def taken(self) -> list[tuple[int, list[tuple[int, str, int, str]]]]:
        """Return the rows that ended since the last call: number, and (column, kind, style, value) of each cell."""
        rows, self._rows = self._rows, []
        return rows

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise no_doctype(name)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        kind = local(tag)
        if kind == "row":
            given = attributes.get("r", "")
            self._number = int(given) if given.isdecimal() and len(given) < 10 else self._number + 1
            self._row, self._column = [], -1
        elif kind == "c":
            place = _PLACE.fullmatch(attributes.get("r", ""))
            self._column = self._column + 1 if place is None else _column(place[1])
            style = attributes.get("s", "0")
            self._kind, self._style = attributes.get("t", "n"), int(style) if style.isdecimal() else 0
            self._text = []
        elif kind == "si":
            self._text = []
        elif kind == "rPh":
            self._spoken += 1
        self._heard = kind in ("v", "t") and not self._spoken

    def data(self, text: str) -> None:
        if self._heard:
            self._text.append(text)

    def end(self, tag: str) -> None:
        kind = local(tag)
        self._heard = False
        if kind == "c" and self._column < _WIDEST:
            self._row.append((self._column, self._kind, self._style, "".join(self._text)))
        elif kind == "row":
            self._rows.append((self._number, self._row))
        elif kind == "si":
            self.strings.append(_ESCAPE.sub(lambda match: chr(int(match[1], 16)), "".join(self._text)))
        elif kind == "rPh":
            self._spoken -= 1

    def close(self) -> None:
        """End."""


def _column(letters: str) -> int:
    """Return the place of a column by its letters: A is 0, Z 25, AA 26."""
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - 64
    return number - 1
