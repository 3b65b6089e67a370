"""The item model of the pile keeps Qt's contract, and what it shows equals a plain sort and filter."""

from __future__ import annotations

import dataclasses
import random
import time

import pytest
from PySide6.QtCore import QItemSelectionModel, QPersistentModelIndex, Qt
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QTableView

from engine.api import DocumentRow, JobRows
from gui.pile import Change, Pile, natural
from gui.tables import pile_table
from gui.tables.pile_table import PROGRESS_ROLE, Column, PileTable

STATES = ("waiting", "running", "done", "failed", "skipped", "cancelled")


def row(number: int, state: str = "waiting", **fields) -> DocumentRow:
    fields.setdefault("name", f"mail {number}.txt")
    return DocumentRow(id=number, position=number, path=f"/x/{number}", size=number * 7 % 100, state=state, **fields)


class Feed:
    """A pile with its table, fed as the session feeds them."""

    def __init__(self, theme) -> None:
        self.now = 0.0
        self.pile = Pile()
        self.table = PileTable(theme, clock=lambda: self.now)
        self.tester = QAbstractItemModelTester(self.table, QAbstractItemModelTester.FailureReportingMode.Fatal)
        self.table.set_pile(self.pile)

    def give(self, *rows: DocumentRow, removed: tuple[int, ...] = (), reset: bool = False) -> None:
        change = Change()
        self.pile.apply(JobRows("a", rows, removed, reset), change)
        self.now += 10
        self.table.apply(change)

    def shown(self) -> list[int]:
        return [self.table.number_at(r) for r in range(self.table.rowCount())]

    def cell(self, at: int, column: Column, role: int = Qt.ItemDataRole.DisplayRole):
        return self.table.index(at, column).data(role)


@pytest.fixture
def feed(theme) -> Feed:
    return Feed(theme)


def test_rows_are_inserted_in_one_batch(feed, qtbot):
    with qtbot.waitSignal(feed.table.rowsInserted) as inserted:
        feed.give(*(row(n) for n in range(1, 501)))
    assert inserted.args[1:] == [0, 499]
    assert feed.shown() == list(range(1, 501))


def test_many_rows_more_or_less_are_told_at_once(feed, monkeypatch):
    monkeypatch.setattr(pile_table, "MANY", 50)
    told = []
    feed.table.modelReset.connect(lambda: told.append("reset"))
    feed.table.rowsRemoved.connect(lambda *_: told.append("removed"))
    feed.give(*(row(n, "done" if n < 10 else "waiting") for n in range(1, 101)))
    feed.table.set_state("done")
    assert feed.shown() == list(range(1, 10))
    feed.table.set_state("")
    assert feed.shown() == list(range(1, 101))
    assert told == ["reset", "reset"]


def test_one_data_changed_a_tick(feed, qtbot):
    feed.give(*(row(n) for n in range(1, 101)))
    told = []
    feed.table.dataChanged.connect(lambda a, b: told.append((a.row(), b.row())))
    feed.give(*(row(n, "done") for n in (7, 90, 31)))
    assert told == [(6, 89)]


def test_cells_say_what_the_row_says(feed):
    feed.give(
        row(
            1,
            "done",
            name="a\nb",
            tokens=1234,
            progress=0.5,
            seconds=0.347,
            summary="billing 0.41",
            encoding="cp1252",
            confidence=0.83,
        ),
        row(2, "failed", reason="not\x00text"),
    )
    assert feed.cell(0, Column.NAME) == r"a\nb"
    assert feed.cell(0, Column.STATE) == "done"
    assert feed.cell(0, Column.TOKENS) == "1,234"
    assert feed.cell(0, Column.SECONDS) == "0.35"
    assert feed.cell(0, Column.RESULT) == "billing 0.41"
    assert feed.cell(0, Column.ENCODING) == "cp1252 ? 83 %"
    assert feed.cell(0, Column.PROGRESS) == "50 %"
    assert feed.cell(0, Column.PROGRESS, PROGRESS_ROLE) == (0.5, "done")
    assert feed.cell(1, Column.RESULT) == r"not\x00text"
    assert feed.cell(1, Column.TOKENS) == ""


def test_tooltips_cannot_be_markup(feed):
    feed.give(dataclasses.replace(row(1), path="/x/<img src=y>&"))
    tip = feed.cell(0, Column.NAME, Qt.ItemDataRole.ToolTipRole)
    assert "&lt;img src=y&gt;&amp;" in tip
    assert "<img" not in tip


def test_filter_by_state_follows_the_rows(feed):
    feed.give(*(row(n) for n in range(1, 11)))
    feed.table.set_state("done")
    assert feed.shown() == []
    feed.give(row(3, "done"), row(8, "done"))
    assert feed.shown() == [3, 8]
    feed.give(row(3, "failed"), row(4, "done"))
    assert feed.shown() == [4, 8]
    feed.table.set_state("")
    assert feed.shown() == list(range(1, 11))


def test_sorting_and_back_to_the_order_of_the_pile(feed):
    feed.give(*(row(n, seconds=(n * 7) % 5) for n in range(1, 8)))
    feed.table.sort(Column.SECONDS, Qt.SortOrder.DescendingOrder)
    oracle = sorted(range(1, 8), key=lambda n: (n * 7) % 5, reverse=True)
    assert [(n * 7) % 5 for n in feed.shown()] == [(n * 7) % 5 for n in oracle]
    feed.table.sort(-1)
    assert feed.shown() == list(range(1, 8))


def test_a_sorted_table_is_rebuilt_only_when_its_time_has_come(feed):
    feed.give(*(row(n, seconds=n) for n in range(1, 6)))
    feed.table.sort(Column.SECONDS, Qt.SortOrder.AscendingOrder)
    feed.table._not_before = feed.now + 100
    feed.give(row(1, seconds=99))
    assert feed.shown() == [1, 2, 3, 4, 5]
    feed.now += 100
    feed.table.catch_up()
    assert feed.shown() == [2, 3, 4, 5, 1]


def test_selection_stays_with_its_documents(feed, qtbot):
    view = QTableView()
    qtbot.addWidget(view)
    view.setModel(feed.table)
    view.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
    feed.give(*(row(n, seconds=-n) for n in range(1, 21)))
    select = view.selectionModel()
    for number in (5, 12):
        select.select(
            feed.table.index(feed.table.row_of(number), 0),
            QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows,
        )
    cursor = QPersistentModelIndex(feed.table.index(feed.table.row_of(12), Column.NAME))
    feed.table.sort(Column.SECONDS, Qt.SortOrder.AscendingOrder)
    feed.give(row(5, "done", seconds=3), removed=(1, 2))
    assert {feed.table.number_at(i.row()) for i in select.selectedRows()} == {5, 12}
    assert feed.table.number_at(cursor.row()) == 12


@pytest.mark.parametrize("seed", range(8))
def test_random_changes_show_what_a_plain_sort_and_filter_would(feed, seed):
    rng = random.Random(seed)
    feed.table.dataChanged.connect(lambda *_: None)
    alive: dict[int, DocumentRow] = {}
    number = 0
    keys = {
        Column.NAME: lambda r: natural(r.name),
        Column.TOKENS: lambda r: r.tokens,
        Column.SECONDS: lambda r: r.seconds,
        Column.SIZE: lambda r: r.size,
        Column.PROGRESS: lambda r: r.progress,
    }
    state, needle, sort = "", "", None
    for _ in range(60):
        action = rng.random()
        if action < 0.35:
            new = [
                row(number + k + 1, rng.choice(STATES), tokens=rng.randrange(9)) for k in range(rng.randrange(1, 30))
            ]
            number += len(new)
            alive.update((r.id, r) for r in new)
            feed.give(*new)
        elif action < 0.7 and alive:
            picked = rng.sample(sorted(alive), min(len(alive), 12))
            new = [
                dataclasses.replace(
                    alive[n], state=rng.choice(STATES), seconds=rng.randrange(5), tokens=rng.randrange(9)
                )
                for n in picked
            ]
            alive.update((r.id, r) for r in new)
            feed.give(*new)
        elif action < 0.8 and alive:
            gone = rng.sample(sorted(alive), min(len(alive), 5))
            for n in gone:
                del alive[n]
            feed.give(removed=tuple(gone))
        elif action < 0.85:
            state = rng.choice(("", *STATES))
            feed.table.set_state(state)
        elif action < 0.9:
            needle = rng.choice(("", "mail 1", "2.TXT"))
            feed.table.set_needle(needle)
        elif action < 0.98:
            sort = rng.choice((None, *((c, d) for c in keys for d in (False, True))))
            feed.table.sort(-1 if sort is None else sort[0], Qt.SortOrder(int(bool(sort and sort[1]))))
        else:
            feed.give(*alive.values(), reset=True)
        oracle = [
            r
            for _, r in sorted(alive.items())
            if (not state or r.state == state) and needle.casefold() in r.name.casefold()
        ]
        if sort is not None:
            oracle.sort(key=keys[sort[0]], reverse=sort[1])
        assert feed.shown() == [r.id for r in oracle]
        assert all(feed.table.row_of(r.id) == at for at, r in enumerate(oracle))


def test_ten_thousand_rows(theme, capsys):
    """Not a timed assertion: the figures are printed, and the results compared with plain Python."""
    feed = Feed(theme)
    del feed.tester  # it walks the whole model at each change
    rng = random.Random(1)
    rows = [row(n, "waiting", seconds=rng.random(), tokens=rng.randrange(500)) for n in range(1, 10_001)]
    figures = {}

    def measure(name, work):
        begin = time.perf_counter()
        work()
        figures[name] = (time.perf_counter() - begin) * 1000

    measure("insert 10,000", lambda: feed.give(*rows))
    measure("update 200", lambda: feed.give(*(dataclasses.replace(rows[n * 50], state="done") for n in range(200))))
    measure("sort by seconds", lambda: feed.table.sort(Column.SECONDS, Qt.SortOrder.AscendingOrder))
    assert feed.shown() == [r.id for r in sorted(rows, key=lambda r: r.seconds)]
    measure("sort by name", lambda: feed.table.sort(Column.NAME, Qt.SortOrder.AscendingOrder))
    measure("sort by name again", lambda: feed.table.sort(Column.NAME, Qt.SortOrder.DescendingOrder))
    measure("search", lambda: feed.table.set_needle("mail 77"))
    assert feed.table.rowCount() == sum("mail 77" in r.name for r in rows)
    measure("search again", lambda: feed.table.set_needle("mail 7"))
    feed.table.set_needle("")
    measure("filter", lambda: feed.table.set_state("done"))
    assert feed.table.rowCount() == 200
    feed.table.set_state("")
    measure("update 200, sorted", lambda: feed.give(*(dataclasses.replace(rows[n], state="done") for n in range(200))))
    measure("reset", lambda: feed.give(*rows, reset=True))
    with capsys.disabled():
        print("\n10,000 rows, ms: " + ", ".join(f"{name} {value:.1f}" for name, value in figures.items()))


def rated(number: int, label: str, score: float, **fields) -> DocumentRow:
    return row(number, "done", label=label, score=score, summary=f"{label or 'unsure'} {score}", **fields)


def test_label_score_and_warning_are_columns_that_sort(feed):
    feed.give(
        rated(1, "praise", 0.2),
        rated(2, "billing", 0.9, reason="the encoding is a guess"),
        rated(3, "", 0.5),
        row(4),
        rated(5, "Billing", 0.1),
    )
    assert [feed.cell(at, Column.LABEL) for at in range(5)] == ["praise", "billing", "unsure", "", "Billing"]
    assert [feed.cell(at, Column.SCORE) for at in range(4)] == ["0.20", "0.90", "0.50", ""]
    assert [feed.cell(at, Column.WARNING) for at in range(4)] == ["", "the encoding is a guess", "unsure 0.5", ""]
    feed.table.sort(Column.LABEL)
    assert feed.shown() == [2, 5, 1, 3, 4]  # the unsure ones after all labels, those without any last
    feed.table.sort(Column.SCORE, Qt.SortOrder.DescendingOrder)
    assert feed.shown() == [2, 3, 1, 5, 4]
    feed.table.sort(Column.WARNING)
    assert feed.shown()[:2] == [2, 3]


def test_a_label_filters_together_with_state_and_search_and_follows_what_changes(feed):
    feed.give(rated(1, "a", 0.1), rated(2, "b", 0.2), rated(3, "a", 0.3), rated(4, "", 0.4), row(5))
    assert feed.pile.labels == {"a": 2, "b": 1, "": 1}
    feed.table.set_label("a")
    assert feed.table.filtered
    assert feed.shown() == [1, 3]
    feed.table.set_needle("mail 3")
    assert feed.shown() == [3]
    feed.table.set_needle("")
    feed.give(rated(2, "a", 0.2), row(1))
    assert feed.shown() == [2, 3]
    assert feed.pile.labels == {"a": 2, "": 1}
    feed.table.set_label("")
    assert feed.shown() == [4]
    feed.table.set_label(None)
    feed.give(removed=(4,))
    assert feed.shown() == [1, 2, 3, 5]
    assert feed.pile.labels == {"a": 2}
    feed.give(row(9), reset=True)
    assert feed.pile.labels == {}
