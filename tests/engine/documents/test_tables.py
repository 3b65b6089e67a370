"""Tables: every row is a document with its own place, the text of one column, and the other columns beside it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import string
from pathlib import Path

import pytest

from engine.api.reading import FAIL, REPLACE
from engine.documents.document import Source
from engine.documents.opening import NotADocument
from engine.documents.read import read, read_all
from engine.documents.readers import READERS, reader_of, tables
from engine.errors import DocumentError

WORKBOOK = Path(__file__).parent / "files" / "workbook.xlsx"

REVIEWS = [
    ["id", "product", "review", "stars"],
    ["1", "kettle", 'It boils "fast",\nand it looks good', "5"],
    ["2", "kettle", "Broke after a week; the lid fell off", "1"],
    ["3", "toaster", "", "3"],
    ["4", "lamp", "=SUM(1,2) is what the display says", "4"],
]


def as_csv(rows: list[list[str]], separator: str = ",", end: str = "\n") -> str:
    file = io.StringIO()
    csv.writer(file, delimiter=separator, lineterminator=end).writerows(rows)
    return file.getvalue()


@pytest.fixture
def rows_of(tmp_path):
    def written(data: bytes | str, name: str = "table.csv", **how):
        path = tmp_path / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return found_in(path, **how)

    yield written
    tables.forget()


def found_in(path: Path, **how):
    status = path.stat()
    return list(read_all(Source(str(path), status.st_size, status.st_mtime_ns), **how))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_row_is_a_document_that_names_its_row_and_column(rows_of, separator, end, encoding):
    found = rows_of(as_csv(REVIEWS, separator, end).encode(encoding))
    assert [source.locator for source, _ in found] == [f"row {n}, review" for n in range(2, 6)]
    assert [text.text for _, text in found] == [row[2] for row in REVIEWS[1:]]
    assert [dict(text.columns) for _, text in found] == [
        {"id": row[0], "product": row[1], "stars": row[3]} for row in REVIEWS[1:]
    ]


def test_a_row_is_found_again_by_its_place_alone_in_any_order(rows_of):
    rows = [["n", "text"], *([str(n), f"this is text number {n}"] for n in range(300))]
    found = rows_of(as_csv(rows))
    random.Random(1).shuffle(found)
    for source, text in found:
        assert read(source) == text


def test_rows_are_found_again_behind_what_is_kept_of_a_table(rows_of, monkeypatch):
    monkeypatch.setattr(tables, "_BLOCK", 10)
    found = rows_of(as_csv([["n", "text"], *([str(n), f"this is text number {n}"] for n in range(50))]))
    for place in (49, 0, 30, 10, 49):
        assert read(found[place][0]).text == f"this is text number {place}"
    assert all(len(one.passed) <= 10 for one in tables._kept)


def test_a_row_without_text_is_told_as_empty_and_one_without_anything_is_none(rows_of):
    found = rows_of('a,b\nx,"a text"\ny,\n,\n\nz,"another text"\n')
    assert [(source.locator, text.text) for source, text in found] == [
        ("row 2, b", "a text"), ("row 3, b", ""), ("row 6, b", "another text"),
    ]  # fmt: skip
    with pytest.raises(NotADocument, match="empty"):
        read(found[1][0])


def test_the_column_can_be_chosen_by_name_whatever_its_case(rows_of):
    for name in ("product", "Product", " product "):
        found = rows_of(as_csv(REVIEWS), column=name)
        assert [text.text for _, text in found] == ["kettle", "kettle", "toaster", "lamp"]
        assert dict(found[0][1].columns)["review"] == REVIEWS[1][2]
        assert read(found[0][0]) == found[0][1]


def test_a_column_that_is_not_there_is_refused_with_those_that_are(rows_of):
    with pytest.raises(DocumentError, match="has no column 'price'; its columns are: id, product, review, stars"):
        rows_of(as_csv(REVIEWS), column="price")


def test_columns_without_a_name_or_with_the_same_are_told_apart(rows_of):
    found = rows_of("note,note,,text\n" + 5 * "1,2,3,some words here\n" + "4,5,6,and some more,extra\n")
    assert [list(dict(text.columns)) for _, text in found[-2:]] == [
        ["note", "note (2)", "column 3"], ["note", "note (2)", "column 3", "column 5"],
    ]  # fmt: skip


def test_a_table_without_names_has_numbered_columns_and_loses_no_row(rows_of):
    found = rows_of("1,first words here\n2,second words here\n3,third words here\n")
    assert (found[0][0].locator, found[0][1].text) == ("row 1, column 2", "first words here")
    assert len(found) == 3


def test_addresses_and_keys_are_not_taken_for_text(rows_of):
    link = "https://example.org/" + 90 * "x"
    found = rows_of(as_csv([["link", "says"], *([link, f"short words {n}"] for n in range(5))]))
    assert found[0][0].locator == "row 2, says"


@pytest.mark.parametrize(
    "text",
    [
        "Dear all,\nthe meeting, as you know, is off.\nYours, Ann\n",
        "one line only, with a comma\n",
        "no separator at all\nin any line\n",
        "a, b, c\nOnce upon a time there was a table.\nIt had no rows.\nNone at all, really.\n",
    ],
)
def test_prose_that_is_called_a_table_stays_one_document(rows_of, text):
    ((source, found),) = rows_of(text)
    assert (source.locator, found.text) == ("", text)


def test_a_table_that_is_called_text_stays_one_document(rows_of):
    ((source, _),) = rows_of(as_csv(REVIEWS), "table.txt")
    assert source.locator == ""


def test_a_single_column_with_a_telling_name_is_a_table(rows_of):
    found = rows_of("review\nIt is good.\nIt is bad.\n")
    assert [(source.locator, text.text) for source, text in found] == [
        ("row 2", "It is good."),
        ("row 3", "It is bad."),
    ]


def test_a_cell_may_be_longer_than_the_library_would_take(rows_of):
    long = "word " * 60_000
    found = rows_of(as_csv([["n", "text"], ["1", long], ["2", "short"]]))
    assert [text.text for _, text in found] == [long, "short"]


def test_the_other_columns_count_as_content(rows_of):
    one = rows_of("who,text\nann,the same words\nbob,the same words\nann,the same words\n")
    sums = [text.sha256 for _, text in one]
    assert sums[0] == sums[2] != sums[1]


def test_bad_bytes_cost_the_rows_they_are_in(rows_of):
    data = as_csv(REVIEWS).encode().replace(b"lamp", b"l\xe4mp").replace(b"week", b"we\xfek")
    found = rows_of(data, encoding="cp1252", on_bad_bytes=REPLACE)
    assert dict(found[3][1].columns)["product"] == "lämp"
    with pytest.raises(DocumentError, match="bad byte"):
        rows_of(b"a,text\n1,\xff\xff words and words\n", encoding="utf-8", on_bad_bytes=FAIL)


def test_a_table_that_a_journal_has_as_one_document_stays_one(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(as_csv(REVIEWS))
    status = path.stat()
    found = read(Source(str(path), status.st_size, status.st_mtime_ns))
    assert found.text == as_csv(REVIEWS)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


# -------------------------------------------------------------------------------------------------------- JSON Lines
def test_json_lines_are_rows_whose_keys_are_columns(rows_of):
    lines = [
        {"who": "ann", "body": "The delivery came late again.", "tags": ["a", 1], "more": {"x": None}},
        {"who": None, "body": "Thank you for your help!", "late": True},
        {"who": "bob", "body": 7},
    ]
    found = rows_of("\n".join(map(json.dumps, lines)) + "\n\n", "m.jsonl")
    assert [(source.locator, text.text) for source, text in found] == [
        ("line 1, body", "The delivery came late again."),
        ("line 2, body", "Thank you for your help!"),
        ("line 3, body", "7"),
    ]
    assert dict(found[0][1].columns) == {"who": "ann", "tags": '["a", 1]', "more": '{"x": null}', "late": ""}
    assert [read(source) for source, _ in found] == [text for _, text in found]


def test_a_line_that_is_no_object_fails_alone(rows_of):
    found = rows_of('{"text": "good words"}\n{"text": \n[1]\n{"text": "more words"}\n', "m.jsonl")
    assert [(source.locator, bool(text.problem)) for source, text in found] == [
        ("line 1", False), ("line 2", True), ("line 3", True), ("line 4", False),
    ]  # fmt: skip
    assert found[1][1].problem.startswith("line 2 is no JSON")
    with pytest.raises(DocumentError, match="line 3 is no JSON object"):
        read(found[2][0])


@pytest.mark.parametrize("text", ['{\n "a": 1\n}\n', '{"a": 1}', "[1, 2]\n[3]\n", "{broken}\n{}\n"])
def test_json_that_is_one_object_or_none_stays_one_document(rows_of, text):
    ((source, found),) = rows_of(text, "m.json")
    assert (source.locator, found.text) == ("", text)


def test_keys_that_come_late_keep_their_names(rows_of):
    lines = [json.dumps({"text": f"words and words {n}"}) for n in range(tables.SAMPLE + 1)]
    found = rows_of("\n".join([*lines, '{"text": "last words here", "late": "x"}']), "m.jsonl")
    assert dict(found[-1][1].columns) == {"late": "x"}


# --------------------------------------------------------------------------------------------------------- workbooks
def test_a_workbook_of_another_program_gives_each_row_with_what_was_shown():
    """The file is openpyxl's (files/make_workbook.py)."""
    found = found_in(WORKBOOK)
    sheet = "Reviews; 2026"
    assert [(source.locator, text.text) for source, text in found] == [
        (f"row 2 of {sheet}, Review", "It boils fast,\nand it looks good."),
        (f"row 3 of {sheet}, Review", "=SUM(1,2)"),
        (f"row 4 of {sheet}, Review", "水很快就烧开了，非常满意。"),
        (f"row 6 of {sheet}, Review", ""),
        ("row 2 of Hidden", "a text that nobody saw"),
    ]
    assert [dict(text.columns) for _, text in found[:2]] == [
        {"Id": "1", "Date": "2026-03-01", "Stars": "4.5", "Paid": "TRUE"},
        {"Id": "2", "Date": "2026-03-02 14:30:00", "Stars": "0.3", "Paid": "FALSE"},
    ]
    for source, text in found:
        if text.text:
            assert read(source) == text


def test_a_sheet_without_the_chosen_column_says_so_and_the_others_are_read():
    found = found_in(WORKBOOK, column="review")
    assert found[0][1].text == "It boils fast,\nand it looks good."
    assert (found[-1][0].locator, found[-1][1].problem) == (
        "sheet Hidden",
        "has no column 'review'; its columns are: Note",
    )


# ------------------------------------------------------------------------------------------- every value, and damage
def _canaries(kind: str, chance: random.Random) -> tuple[bytes, dict[str, str]]:
    """Return a file in which every cell and name has a word of its own, and the row of each text's word."""
    word = lambda: "".join(chance.choices(string.ascii_lowercase, k=12))  # noqa: E731
    header = [word() for _ in range(4)]
    rows = [[word(), word(), f"{word()} and more words to read, {word()}", word()] for _ in range(20)]
    if kind == "jsonl":
        text = "\n".join(json.dumps(dict(zip(header, row, strict=True))) for row in rows)
        return text.encode(), {row[2]: f"line {n}" for n, row in enumerate(rows, 1)}
    return as_csv([header, *rows]).encode(), {row[2]: f"row {n}" for n, row in enumerate(rows, 2)}


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_every_word_of_a_table_ends_in_exactly_one_row_at_its_place(rows_of, kind):
    data, places = _canaries(kind, random.Random(5))
    found = rows_of(data, f"t.{kind}")
    assert {text.text: source.locator.partition(", ")[0] for source, text in found} == places
    told = [word for _, text in found for word in (text.text, *(cell for _, cell in text.columns))]
    assert len(told) == len(set(told)) == 80


@pytest.mark.parametrize("kind", ["csv", "jsonl", "xlsx"])
def test_damaged_tables_give_rows_or_a_reason(rows_of, kind):
    chance = random.Random(9)
    whole = WORKBOOK.read_bytes() if kind == "xlsx" else _canaries(kind, chance)[0]
    for _ in range(30):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            place = chance.randrange(len(data))
            what = chance.randrange(3)
            if what == 0:
                data[place] = chance.randrange(256)
            elif what == 1:
                del data[place : place + chance.randrange(200)]
            else:
                data[place:place] = chance.choice([b'"', b"\0", b"\n", b",,,,", b'{"', b"\xff\xfe"])
        try:
            found = rows_of(bytes(data), f"t.{kind}")
        except DocumentError as error:
            assert str(error)  # noqa: PT017 - any reason will do, and nothing else may be raised
        else:
            assert found


def test_the_reader_of_each_kind_is_told_by_content_and_name():
    kinds = {kind.__name__ for kind in READERS}
    assert kinds >= {"Delimited", "JsonLines", "Workbook"}
    assert reader_of("x.csv", b"%PDF-1.7\na,b\nc,d\n").name != "table"
    assert type(reader_of("pile.bin", WORKBOOK.read_bytes()[:65536])).__name__ == "Workbook"
