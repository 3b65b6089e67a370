"""Workbooks: what is exported is what another reader finds; nothing computes, nothing is cut without a word."""

from __future__ import annotations

import io
import zipfile
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_export import STATES, fill, label, read_csv

from engine.documents.document import Source
from engine.documents.read import read_all
from engine.store import workbook
from engine.store.export import export
from engine.store.journal import Journal
from engine.store.recognise import Recogniser
from engine.store.record import Result
from engine.store.workbook import CELL_CHARACTERS, Workbook, cell_text

NS = {"m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}


@pytest.fixture
def journal():
    with Journal() as journal:
        yield journal


def cells_of(data: bytes, sheet: int = 1) -> list[list[str]]:
    """Return the cells as a reader finds them that knows nothing of ours; empty ones are left out."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        assert package.testzip() is None
        root = ET.fromstring(package.read(f"xl/worksheets/sheet{sheet}.xml"))
    return [
        ["".join(part.text or "" for part in cell.iter() if part.tag.endswith(("}t", "}v"))) for cell in row]
        for row in root.iterfind(".//m:row", NS)
    ]


def made(*rows: list) -> bytes:
    file = io.BytesIO()
    book = Workbook(file, ["a", "b"])
    for row in rows:
        book.writerow(row)
    book.close()
    return file.getvalue()


def test_a_workbook_has_what_the_csv_has(journal, tmp_path):
    fill(journal, lambda n: label(n, "=SUM(1,2)"))
    assert export(journal, "job", str(tmp_path / "x.xlsx"), "xlsx") == len(STATES)
    export(journal, "job", str(tmp_path / "x.csv"), "csv")
    header, rows = read_csv(tmp_path / "x.csv")
    found = cells_of((tmp_path / "x.xlsx").read_bytes())
    assert found[0] == header
    plain = [
        [cell.removeprefix("'") for cell in row if cell] for row in rows
    ]  # a text that would compute is quoted there
    assert [[cell.removesuffix(".0") for cell in row] for row in found[1:]] == [
        [cell.removesuffix(".0") for cell in row] for row in plain
    ]
    assert b"<f>" not in zipfile.ZipFile(tmp_path / "x.xlsx").read("xl/worksheets/sheet1.xml")


def test_our_own_reader_gives_the_texts_back(journal, tmp_path):
    texts = [
        "two\nlines & <marks>",
        "a\ttab, \x07 a bell and \r",
        "_x0041_ as it is",
        "许可证 🧵",
        " space at both ends ",
    ]
    fill(
        journal,
        lambda n: Result(n, {"text": texts[n % len(texts)], "more": f"and a much longer text for number {n}" * 3}),
    )
    path = tmp_path / "x.xlsx"
    export(journal, "job", str(path), "xlsx")
    status = path.stat()
    rows = read_all(Source(str(path), status.st_size, status.st_mtime_ns), column="text")
    assert [text.text for _, text in rows if text.text] == [texts[n % len(texts)] for n in (1, 6)]


@given(st.lists(st.one_of(st.text(max_size=40), st.integers(-(10**9), 10**9)), min_size=2, max_size=2))
def test_any_text_makes_a_workbook_that_can_be_read(row):
    (_, *rows) = cells_of(made(row))
    assert len(rows) == 1
    assert len(rows[0]) == sum(value != "" for value in row)


@pytest.mark.parametrize("text", ["x" * 40_000, "🧵" * 20_000, "x" * (CELL_CHARACTERS + 1)])
def test_a_text_that_no_cell_holds_says_that_it_was_cut(text):
    found = cell_text(text)
    assert len(found.encode("utf-16-le")) // 2 <= CELL_CHARACTERS
    assert found.endswith(f"and this text has {len(text):,}; CSV and JSON Lines have all of it]")
    assert text.startswith(found.partition(" … [cut")[0])
    assert cell_text("x" * CELL_CHARACTERS) == "x" * CELL_CHARACTERS


def test_more_rows_than_a_sheet_holds_go_on_in_another_under_the_same_names(monkeypatch):
    monkeypatch.setattr(workbook, "SHEET_ROWS", 4)
    data = made(*([n, f"text {n}"] for n in range(7)))
    assert [[row[0] for row in cells_of(data, sheet)] for sheet in (1, 2, 3)] == [
        ["a", "0", "1", "2"], ["a", "3", "4", "5"], ["a", "6"],
    ]  # fmt: skip
    assert [row[0] for row in cells_of(made())] == ["a"]


def test_a_workbook_of_ours_is_known_as_such(journal, tmp_path):
    fill(journal, label)
    export(journal, "job", str(tmp_path / "x.xlsx"), "xlsx")
    (tmp_path / "y.xlsx").write_bytes((tmp_path / "x.xlsx").read_bytes().replace(b">Heddle<", b">Others<"))
    assert Recogniser().wrote(str(tmp_path / "x.xlsx"))
    assert not Recogniser().wrote(str(tmp_path / "y.xlsx"))
