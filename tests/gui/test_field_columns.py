"""Fields that were extracted are columns of the table: they come, sort, are copied, and go with the results."""

from __future__ import annotations

import json
import random

import pytest
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QTableView

from engine.api import DocumentRow, JobRows, plain, restore
from gui.panels.pile_columns import PileColumns
from gui.pile import Change, Pile
from gui.tables.pile_copy import selected_rows
from gui.tables.pile_table import Column, PileTable


def row(number: int, *cells: tuple[str, str], state: str = "done") -> DocumentRow:
    return DocumentRow(number, number, f"{number}.txt", f"/{number}.txt", 1, state, cells=cells)


@pytest.fixture
def shown(qtbot, theme):
    table = PileTable(theme, clock=lambda: 0.0)
    view = QTableView()
    qtbot.addWidget(view)
    view.setModel(table)
    tester = QAbstractItemModelTester(table, QAbstractItemModelTester.FailureReportingMode.Fatal)
    columns = PileColumns(view)
    columns.reset()
    pile = Pile()
    table.set_pile(pile)
    yield table, view, columns, pile
    del tester


def take(table: PileTable, pile: Pile, *rows: DocumentRow, **more) -> None:
    change = Change()
    pile.apply(JobRows("j", tuple(rows), **more), change)
    table.apply(change)


def texts(table: PileTable, name: str) -> list[str]:
    column = len(Column) + table.fields.index(name)
    return [table.index(at, column).data() for at in range(table.rowCount())]


def test_fields_become_columns_before_the_result_and_go_with_the_last_row_that_has_them(shown):
    table, view, columns, pile = shown
    take(table, pile, *(row(n, state="waiting") for n in range(4)))
    plain = columns.state()
    take(table, pile, row(1, ("amount", "12.5"), ("name\u202e", "Ada")))
    take(table, pile, row(2, ("amount", "9"), ("name\u202e", ""), ("late", "yes")))
    columns.rate(rated=False, fields=3)
    assert table.fields == ["amount", "name\u202e", "late"]
    titles = [table.headerData(len(Column) + at, Qt.Orientation.Horizontal) for at in range(3)]
    assert titles == ["amount", r"name\u202e", "late"]
    assert texts(table, "amount") == ["", "12.5", "9", ""]
    header = view.horizontalHeader()
    places = [header.visualIndex(len(Column) + at) for at in range(3)]
    assert places == sorted(places)
    assert places[-1] < header.visualIndex(Column.WARNING)
    assert header.isSectionHidden(Column.RESULT)
    assert columns.state() == plain, "columns of one pile are not remembered for all"

    take(table, pile, row(2, ("amount", "9")))
    assert table.fields == ["amount", "name\u202e"]
    take(table, pile, row(1, ("other", "x")), removed=(2,))
    assert table.fields == ["other"]
    take(table, pile, reset=True)
    columns.rate(rated=False, fields=0)
    assert table.columnCount(QModelIndex()) == len(Column)
    assert not header.isSectionHidden(Column.RESULT)


def test_another_pile_has_columns_of_its_own(shown):
    table, _, _, pile = shown
    take(table, pile, row(1, ("a", "1"), ("b", "2")))
    other = Pile()
    other.apply(JobRows("k", (row(7, ("b", "3"), ("c", "4")),)), Change())
    table.set_pile(other)
    assert table.fields == ["b", "c"]
    assert texts(table, "b") == ["3"]
    table.set_pile(Pile())
    assert table.fields == []


def test_a_field_sorts_by_number_then_by_text_and_rows_without_it_are_last(shown):
    table, _, _, pile = shown
    values = ["10", "9.5", "", "abc", "Abb", "-3"]
    take(table, pile, *(row(n, ("v", value)) for n, value in enumerate(values)))
    table.sort(len(Column))
    assert texts(table, "v") == ["-3", "9.5", "10", "Abb", "abc", ""]
    table.sort(-1)
    assert texts(table, "v") == values


def test_rows_are_copied_with_their_fields(shown):
    table, view, _, pile = shown
    take(table, pile, row(1, ("formula", "=1+1"), ("two", "a b")))
    view.selectRow(0)
    header, line, _ = selected_rows(view, table).split("\n")
    cells = dict(zip(header.split("\t"), line.split("\t"), strict=True))
    assert cells["two"] == "a b"
    assert not cells["formula"].startswith("=")


def test_any_order_of_changes_leaves_the_columns_of_the_rows_that_are_there(shown):
    table, view, _, pile = shown
    pick = random.Random(5)
    names = ["a", "b", "c", "d"]
    for _ in range(150):
        number = pick.randrange(6)
        if pick.random() < 0.2:
            take(table, pile, removed=(number,))
        else:
            take(table, pile, row(number, *((name, str(number)) for name in pick.sample(names, pick.randrange(4)))))
        assert set(table.fields) == {name for one in pile.records.values() for name, _ in one.cells}
        assert view.horizontalHeader().count() == table.columnCount() == len(Column) + len(table.fields)


def test_cells_cross_the_door_as_they_are():
    message = JobRows("j", (row(1, ("a", "1"), ("ü", "\U0001f600")), row(2)))
    assert restore(JobRows, json.loads(json.dumps(plain(message)))) == message
