"""Texts without a space cost no more than others: they are laid out in pieces, and what is copied is the text itself."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QMimeData
from PySide6.QtGui import QGuiApplication, QTextOption
from PySide6.QtWidgets import QPlainTextEdit

from engine.api import DocumentRow, JobRows
from gui.dialogs.texts import TextDialog
from gui.pile import Change, Pile
from gui.tables.pile_table import Column, PileTable
from gui.widgets.labels import wrapped
from gui.widgets.long_lines import LIMIT, brief, for_label, has_long_word, pieces
from gui.widgets.text_area import TextArea
from gui.widgets.viewer import Viewer

LONG = "x" * 100_000


def longest_block(view):
    document = view.document()
    return max(document.findBlockByNumber(n).length() - 1 for n in range(document.blockCount()))


def copied(view):
    view.selectAll()
    view.copy()
    return QGuiApplication.clipboard().text()


@given(st.text(alphabet="ab \n\r\u0301\u200d字🙂", max_size=200), st.integers(10, 40))
def test_the_pieces_are_short_and_make_up_the_text(text, limit):
    lines, soft = pieces(text, limit)
    assert max(map(len, lines)) <= limit
    joined = "".join(line + ("" if n in soft or n == len(lines) - 1 else "\n") for n, line in enumerate(lines))
    assert joined == re.sub("\r\n?", "\n", text)


def test_a_long_line_ends_at_a_space_and_between_characters_that_do_not_combine():
    words = "word " * 1000
    lines, _ = pieces(words)
    assert all(line.endswith(" ") for line in lines[:-1])
    lines, _ = pieces("e\u0301" * 3000, 1001)
    assert all(line.startswith("e") for line in lines)


def test_everything_in_the_window_that_shows_texts_lays_them_out_in_pieces(make_window):
    window = make_window()
    views = [view for view in window.findChildren(QPlainTextEdit) if view.isReadOnly()]
    assert len(views) >= 5  # the text, the result, its JSON, the prompt, the trial
    for view in views:
        view.setPlainText(LONG)
        assert longest_block(view) <= 2000
        assert view.toPlainText() == LONG
        assert copied(view) == LONG


def test_a_dialog_with_a_text_lays_it_out_in_pieces(qtbot):
    dialog = TextDialog("t", "", lambda: f"first\n{LONG}\nlast")
    qtbot.addWidget(dialog)
    assert longest_block(dialog.text) <= 2000
    assert copied(dialog.text) == f"first\n{LONG}\nlast"


def test_a_part_that_is_copied_has_no_breaks_of_its_own(qtbot):
    view = Viewer("v")
    qtbot.addWidget(view)
    view.setPlainText(f"one\n{LONG}\ntwo")
    cursor = view.textCursor()
    cursor.setPosition(2)
    cursor.setPosition(LIMIT + 14, cursor.MoveMode.KeepAnchor)
    view.setTextCursor(cursor)
    view.copy()
    assert QGuiApplication.clipboard().text() == "e\n" + "x" * (LIMIT + 9)


COPY_AND_END = """
from gui.widgets.viewer import Viewer
from PySide6.QtWidgets import QApplication
app = QApplication([])
view = Viewer("v")
view.setPlainText("some words")
view.selectAll()
view.copy()
print(app.clipboard().text(), app.clipboard().mimeData().formats())
"""


def test_a_program_that_has_copied_from_a_viewer_ends_without_a_crash_and_has_copied_plain_text_only():
    done = subprocess.run([sys.executable, "-c", COPY_AND_END], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "some words ['text/plain']\n"


@pytest.mark.parametrize("unit", ["word ", "x", "字", "line\n", "🙂 a\n"])
def test_a_text_that_grows_looks_like_one_that_was_there_at_once(qtbot, unit):
    text = unit * 5000
    grown, whole = Viewer("g"), Viewer("w")
    for view in (grown, whole):
        qtbot.addWidget(view)
    for end in (1, 700, 1999, 2000, 2001, 2600, 4100, 4101, len(text)):
        grown.grow(text[:end])
        whole.setPlainText(text[:end])
        blocks = [
            [view.document().findBlockByNumber(n).text() for n in range(view.document().blockCount())]
            for view in (grown, whole)
        ]
        assert blocks[0] == blocks[1]
        assert grown.toPlainText() == text[:end]
        assert copied(grown) == text[:end]


def test_an_editor_does_not_look_for_the_best_place_in_a_line_without_spaces(qtbot):
    area = TextArea(5, 16)
    qtbot.addWidget(area)
    area.setPlainText("some words")
    assert area.wordWrapMode() == QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere
    pasted = QMimeData()
    pasted.setText(LONG)
    area.insertFromMimeData(pasted)
    assert area.wordWrapMode() == QTextOption.WrapMode.WrapAnywhere
    assert area.toPlainText() == f"{LONG}some words"
    assert has_long_word(LONG)
    assert not has_long_word("word " * 20_000)


def test_labels_and_tooltips_are_brief_and_their_long_words_may_break(qtbot, theme):
    said = for_label(LONG)
    assert len(said) < 700
    assert max(map(len, said.split("\u200b"))) <= 40
    label = wrapped(LONG)
    qtbot.addWidget(label)
    assert label.text() == LONG
    assert label.minimumSizeHint().width() < 600
    table = PileTable(theme)
    pile = Pile()
    row = DocumentRow(id=1, position=0, name="n", path="/n", size=1, state="done", summary=LONG)
    pile.apply(JobRows("a", (row,), (), reset=True), Change())
    table.set_pile(pile)
    assert len(table.index(0, Column.RESULT).data()) < 700
    tip = re.sub("<[^>]*>", "", table.index(0, Column.RESULT).data(3))
    assert max(map(len, tip.split("\u200b"))) <= 40


def test_what_is_short_stays_as_it_is():
    assert brief("short") == for_label("short") == "short"
    assert pieces("a\n\nb") == (["a", "", "b"], set())


@pytest.mark.parametrize(
    "text", ["a \U0001f600 b\nfound here\n", "x" * 2500 + " found " + "y" * 4500, "\u2029found\U0001f600"]
)
def test_marks_lie_on_the_characters_that_they_mean(qtbot, text):
    from PySide6.QtGui import QColor

    view = Viewer("v")
    qtbot.addWidget(view)
    view.setPlainText(text)
    start = text.index("found")
    view.mark([(start, start + 5), (len(text) - 1, len(text)), (3, 3), (5, 10**6)], QColor("red"))
    assert view.marked() == ["found", text[-1]]
    view.mark([], QColor("red"))
    assert view.marked() == []
