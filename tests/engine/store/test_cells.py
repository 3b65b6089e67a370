"""Text that leaves the program is plain text: no formulas, no reordering, always UTF-8."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.store.cells import cell, clean, escape, json_escape, share_text, shown

TRIGGERS = "=+-@＝＋－＠"
BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
NASTY = st.text(
    st.one_of(st.sampled_from(list("=+-@＝＋－＠\t\r\n ;,'\"\x00\u202e\u2066\u200b\ufeff\udcffa1(")), st.characters())
)


def read_back(text: str, delimiter: str = ",") -> list[str]:
    """What a reader of CSV finds after our cell was written behind a first cell."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerow(["first", cell(text)])
    (row,) = csv.reader(io.StringIO(buffer.getvalue(), newline=""), delimiter=delimiter)
    return row[1:]


@given(NASTY)
@example("=1+1")
@example("\x00=1+1")
@example(' "=1+1')
@example("\t=1")
@example("\u200b＝cmd|' /C calc'!A0")
@example("\ufeff@SUM(1)")
@example("-2+3")
def test_no_cell_begins_with_what_computes(text: str) -> None:
    (value,) = read_back(text)
    assert not value.startswith(("\t", "\r", "\n"))
    assert value.lstrip(' \t\r\n"\u200b\ufeff\u00a0\u3000')[:1] not in set(TRIGGERS)


@given(NASTY)
@example('a";=1+1')
@example("a; \t=1+1")
def test_no_cell_computes_where_the_semicolon_separates(text: str) -> None:
    for value in cell(text).split(";"):
        assert value.strip(' \t\r\n"\u00a0\u3000')[:1] not in set(TRIGGERS)


@given(NASTY)
def test_cells_hold_no_control_bidi_or_surrogate_characters(text: str) -> None:
    value = cell(text)
    value.encode("utf-8")
    assert not [c for c in value if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}]
    assert not [c for c in value if unicodedata.bidirectional(c) in BIDI or c in "\u061c\u200e\u200f"]


@given(st.text(st.characters(categories=("L", "N"))))
@example("许可证 manual, 3.5")
@example("नमस्ते \u200d")
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert cell(text) == text
    assert escape(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("=1+1", "'=1+1"),
        ("＝1", "'＝1"),
        ("-5 degrees", "'-5 degrees"),
        ("\tx", "'\\tx"),
        ("\rx", "'\\rx"),
        ("a\nb", "a\\nb"),
        ("a\\nb", "a\\\\nb"),
        ("C:\\Users\\a.txt", "C:\\Users\\a.txt"),
        ("invoice\u202efdp.exe", "invoice\\u202efdp.exe"),
        ("a\x00b\x1b[2J", "ab\\x1b[2J"),
        ("a;=1", "a;'=1"),
        ("a-b", "a-b"),
    ],
)
def test_what_is_changed_stays_readable(text: str, expected: str) -> None:
    assert cell(text) == expected


def unescaped(value: str) -> str:
    """The text of a cell, as the export tells to read it."""
    names = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
    return re.sub(
        r"\\(?:([ntr\\])|x([0-9a-f]{2})|u([0-9a-f]{4}))",
        lambda found: names[found[1]] if found[1] else chr(int(found[2] or found[3], 16)),
        value,
    )


@given(st.text(st.one_of(st.sampled_from("\\ntrxu\n\t\r0a1\u202e\x1b\u2028"), st.characters(categories=("L",)))))
@example("a\nb")
@example("a\\nb")
@example("\\\n\\\\n")
@example("\\x0a")
def test_every_text_can_be_told_from_every_other(text: str) -> None:
    assert unescaped(cell(f"a{text}")).removeprefix("'").replace("'", "") == f"a{text}"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (2.55e-5, "0.0026 %"),
        (1e-9, "0.00000010 %"),
        (0.0013, "0.13 %"),
        (0.34, "34 %"),
        (0.9994, "99.9 %"),
        (1, "100 %"),
    ],
)
def test_a_share_is_neither_nothing_nor_all_when_it_is_not(share, text) -> None:
    assert share_text(share) == text


@given(NASTY)
def test_json_escapes_keep_the_data(text: str) -> None:
    line = json_escape(json.dumps({"value": clean(text)}, ensure_ascii=False))
    assert json.loads(line.encode("utf-8")) == {"value": clean(text)}
    assert len(line.splitlines()) == 1


@given(st.binary(min_size=1).filter(lambda name: b"\x00" not in name))
def test_any_file_name_can_be_shown(name: bytes) -> None:
    value = shown(os.fsdecode(name))
    value.encode("utf-8")
    assert not [c for c in value if unicodedata.category(c) == "Cc" or unicodedata.bidirectional(c) in BIDI]
    assert len(value.splitlines()) <= 1


def test_a_name_that_is_not_utf8_shows_its_bytes() -> None:
    assert shown(os.fsdecode(b"caf\xe9.txt")) == "caf\\xe9.txt"
    assert shown("\ud800") == "\\ud800"
