"""Names are untrusted: what a label would hide, obey or drop is shown."""

from __future__ import annotations

import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtWidgets import QLabel

from gui.escape import shown, shown_text


@pytest.mark.parametrize("name", ["plain.txt", "größe 1.md", "简体.txt", "ملف.txt", "🧵 x.log", "<b>x</b>", "a\u200db"])
def test_names_without_tricks_stay_as_they_are(name):
    assert shown(name) == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a\nb", r"a\nb"),
        ("a\tb\r", r"a\tb\r"),
        ("a\x00b", r"a\x00b"),
        ("evil\u202etxt.exe", r"evil\u202etxt.exe"),
        ("a\u2066b\u2069", r"a\u2066b\u2069"),
        ("a\u200bb", r"a\u200bb"),
        ("a\u2028b", r"a\u2028b"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_controls_and_marks_become_escapes(name, expected):
    assert shown(name) == expected


def test_bytes_that_are_not_utf8_are_shown_by_their_value():
    assert shown(os.fsdecode(b"a\xff\x80.txt")) == r"a\xff\x80.txt"
    assert shown("a\ud800b") == r"a\ud800b"


@given(st.text(st.characters()))
def test_what_is_shown_is_one_visible_line_that_qt_can_hold(name):
    text = shown(name)
    assert "\n" not in text
    assert not any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in text)
    text.encode("utf-8")


def test_qt_shows_an_escaped_name_unchanged(qapp):
    label = QLabel()
    label.setText(shown("x\udcffy"))
    assert label.text() == r"x\xffy"


def test_document_text_keeps_its_lines_and_marks():
    assert shown_text("a\r\nb\tc\rd\u200f") == "a\nb\tc\nd\u200f"
    assert shown_text("a\x00b\x1b[31m") == r"a\x00b\x1b[31m"
    assert shown_text("a\udcff") == r"a\xff"
