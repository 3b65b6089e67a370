"""Workbooks (xlsx): rows written one after the other, so that their number does not matter; nothing in them computes.

Source of the layout: ECMA-376, part 1, 18.3 (worksheets), 22.9.2.19 (escapes in strings).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from typing import IO, BinaryIO
from xml.sax.saxutils import escape

from engine.store.cells import clean

SHEET_ROWS = 1_048_576
"""Rows of a sheet, by the format's own limit; more go on in another sheet."""
CELL_CHARACTERS = 32_767
"""Characters of a cell, by the format's own limit, in units of UTF-16."""

_SHEET_BYTES = 3 << 29
"""Bytes of a sheet, short of what a package without the extension for large ones holds; more go on in another sheet."""

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_APP = f'{_HEAD}<Properties xmlns="{_OFFICE}/extended-properties"><Application>Heddle</Application></Properties>'
MARK = b"<Application>Heddle</Application>"
"""In the first member, which is not compressed: what Heddle wrote is told by it (recognise)."""

_PLAIN = 'numFmtId="0" fillId="0" borderId="0"'
_STYLES = (
    f'{_HEAD}<styleSheet xmlns="{_MAIN}"><fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/>'
    '</fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border><left/><right/><top/>'
    f'<bottom/><diagonal/></border></borders><cellStyleXfs count="1"><xf {_PLAIN} fontId="0"/></cellStyleXfs>'
    f'<cellXfs count="2"><xf {_PLAIN} fontId="0" xfId="0"/><xf {_PLAIN} fontId="1" applyFont="1" xfId="0"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)
_ESCAPED = re.compile("_(?=x[0-9A-Fa-f]{4}_)|[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|\r")
_SHEET = (
    f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" '
    'activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>'
)


class Workbook:
    """Writes a workbook into an open file; ``close`` makes it whole."""

    def __init__(self, file: BinaryIO, header: Sequence[str]) -> None:
        """Begin with a row of names, which is shown on every sheet."""
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
        self._zip.writestr(zipfile.ZipInfo("docProps/app.xml"), _APP, zipfile.ZIP_STORED)
        self._header = [clean(name) for name in header]
        self._sheets = 0
        self._rows, self._bytes = SHEET_ROWS, 0
        self._member: IO[bytes] | None = None

    def writerow(self, values: Sequence[str | float | bool | None]) -> None:
        """Write a row of texts and numbers."""
        if self._rows >= SHEET_ROWS or self._bytes >= _SHEET_BYTES:
            self._next_sheet()
        self._write(values, 0)

    def close(self) -> None:
        """Write what belongs to all sheets."""
        if not self._sheets:
            self._next_sheet()
        self._end_sheet()
        sheets = range(1, self._sheets + 1)
        kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
        parts = "".join(
            f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{kind}.worksheet+xml"/>' for n in sheets
        )
        self._zip.writestr(
            "[Content_Types].xml",
            f'{_HEAD}<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" '
            f'ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
            f'<Override PartName="/xl/styles.xml" ContentType="{kind}.styles+xml"/><Override PartName="/docProps/app.xml" '
            f'ContentType="application/vnd.openxmlformats-officedocument.extended-properties+xml"/>{parts}</Types>',
        )
        relation = f"{_OFFICE}/relationships"
        self._zip.writestr(
            "_rels/.rels",
            f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
            f'Type="{relation}/officeDocument" Target="xl/workbook.xml"/><Relationship Id="rId2" '
            f'Type="{relation}/extended-properties" Target="docProps/app.xml"/></Relationships>',
        )
        named = "".join(f'<sheet name="{_name(n)}" sheetId="{n}" r:id="rId{n}"/>' for n in sheets)
        self._zip.writestr(
            "xl/workbook.xml",
            f'{_HEAD}<workbook xmlns="{_MAIN}" xmlns:r="{relation}"><sheets>{named}</sheets></workbook>',
        )
        related = "".join(
            f'<Relationship Id="rId{n}" Type="{relation}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in sheets
        )
        self._zip.writestr(
            "xl/_rels/workbook.xml.rels",
            f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">{related}<Relationship Id="rId{self._sheets + 1}" '
            f'Type="{relation}/styles" Target="styles.xml"/></Relationships>',
        )
        self._zip.writestr("xl/styles.xml", _STYLES)
        self._zip.close()

    def _next_sheet(self) -> None:
        self._end_sheet()
        self._sheets += 1
        self._rows = self._bytes = 0
        self._member = self._zip.open(f"xl/worksheets/sheet{self._sheets}.xml", "w")
        self._member.write(_SHEET.encode())
        self._write(self._header, 1)

    def _end_sheet(self) -> None:
        if self._member is not None:
            self._member.write(b"</sheetData></worksheet>")
            self._member.close()
            self._member = None

    def _write(self, values: Sequence[str | float | bool | None], style: int) -> None:
        assert self._member is not None
        self._rows += 1
        cells = "".join(
            _cell(f"{_letters(place)}{self._rows}", value, style)
            for place, value in enumerate(values)
            if value not in ("", None)
        )
        self._bytes += self._member.write(f'<row r="{self._rows}">{cells}</row>'.encode())


def cell_text(text: str) -> str:
    """Return a text as a cell can hold it: one that is too long ends with a sentence that says so."""
    text = clean(text)
    if _units(text) <= CELL_CHARACTERS:
        return text
    said = f" … [cut: a cell holds {CELL_CHARACTERS:,} characters and this text has {len(text):,}; CSV and JSON Lines have all of it]"
    return _beginning(text, CELL_CHARACTERS - len(said)) + said


def _units(text: str) -> int:
    return len(text) + sum(character > "\uffff" for character in text)


def _beginning(text: str, units: int) -> str:
    begun = text[:units]
    while _units(begun) > units:
        begun = begun[: len(begun) - max(1, (_units(begun) - units) // 2)]
    return begun


def _cell(place: str, value: str | float | bool, style: int) -> str:
    styled = f' s="{style}"' if style else ""
    if isinstance(value, bool):
        return f'<c r="{place}"{styled} t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f'<c r="{place}"{styled}><v>{value!r}</v></c>'
    text = _ESCAPED.sub(lambda match: f"_x{ord(match[0]):04X}_", cell_text(value))
    return f'<c r="{place}"{styled} t="inlineStr"><is><t xml:space="preserve">{escape(text)}</t></is></c>'


def _letters(place: int) -> str:
    letters = ""
    place += 1
    while place:
        place, letter = divmod(place - 1, 26)
        letters = chr(65 + letter) + letters
    return letters


def _name(number: int) -> str:
    return "Documents" if number == 1 else f"Documents {number}"
