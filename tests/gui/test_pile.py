"""The pile in the window's memory equals the engine's, whatever order the changes come in."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from engine.api import DocumentRow, JobRows
from gui.pile import Change, Pile, natural


def row(number: int, state: str = "waiting", name: str = "", **fields) -> DocumentRow:
    return DocumentRow(number, number, name or f"{number}.txt", f"/x/{number}.txt", 10, state, **fields)


def test_new_rows_are_added_in_order():
    pile, change = Pile(), Change()
    pile.apply(JobRows("a", (row(1), row(2))), change)
    pile.apply(JobRows("a", (row(3), row(1, "done"))), change)
    assert pile.order == [1, 2, 3]
    assert change.added == [1, 2, 3]
    assert change.updated == {1}
    assert not change.rebuilt
    assert pile.records[1].state == "done"


def test_rows_that_come_late_are_put_in_their_place():
    pile, change = Pile(), Change()
    pile.apply(JobRows("a", (row(5),)), change)
    pile.apply(JobRows("a", (row(2),)), change)
    assert pile.order == [2, 5]
    assert change.rebuilt


def test_reset_replaces_everything():
    pile = Pile()
    pile.apply(JobRows("a", (row(1), row(2))), Change())
    change = Change()
    pile.apply(JobRows("a", (row(2, "done"), row(7)), reset=True), change)
    assert pile.order == [2, 7]
    assert change.rebuilt


def test_removed_rows_are_gone():
    pile, change = Pile(), Change()
    pile.apply(JobRows("a", (row(1), row(2), row(3))), Change())
    pile.apply(JobRows("a", (), (2, 99)), change)
    assert pile.order == [1, 3]
    assert 2 not in pile.records
    assert change.rebuilt


def test_a_search_finds_the_same_whether_or_not_it_was_prepared():
    pile = Pile()
    pile.apply(JobRows("a", tuple(row(n, name=f"Mail {n}") for n in range(20))), Change())
    pile.prepare_search(7)
    assert pile.select("", "mail 1") == [1, *range(10, 20)]
    pile.prepare_search(100)
    pile.apply(JobRows("a", (row(3, "done", summary="mail 1"),), (15,)), Change())
    pile.prepare_search(100)
    assert pile.select("", "MAIL 1") == [1, 3, *range(10, 15), *range(16, 20)]
    pile.apply(JobRows("a", (row(4),), reset=True), Change())
    pile.prepare_search(100)
    assert pile.select("", "mail") == []


def test_names_sort_by_their_numbers():
    names = ["mail 10", "Mail 2", "mail 1b", "mail 1", "10", "9", "", "²", "a" + "9" * 5000]
    assert sorted(["mail 10", "Mail 2", "mail 1"], key=natural) == ["mail 1", "Mail 2", "mail 10"]
    assert sorted(names, key=natural)  # no mix of numbers and texts that cannot be compared


def test_search_looks_at_names_results_and_reasons_without_case():
    pile = Pile()
    pile.apply(
        JobRows("a", (row(1, name="Rechnung.txt"), row(2, summary="Billing 0.5"), row(3, "failed", reason="not TEXT"))),
        Change(),
    )
    assert pile.select("", "rech") == [1]
    assert pile.select("", "BILL") == [2]
    assert pile.select("failed", "text") == [3]
    assert pile.select("done", "text") == []


def test_search_finds_new_results():
    pile = Pile()
    pile.apply(JobRows("a", (row(1),)), Change())
    assert pile.select("", "praise") == []
    pile.apply(JobRows("a", (row(1, "done", summary="praise 0.4"),)), Change())
    assert pile.select("", "praise") == [1]


@given(st.lists(st.tuples(st.sets(st.integers(1, 30)), st.sets(st.integers(1, 30)), st.booleans()), max_size=12))
def test_any_series_of_changes_gives_the_engines_pile(steps):
    pile, model = Pile(), {}
    for at, (rows, removed, reset) in enumerate(steps):
        removed = removed - rows
        if reset:
            model.clear()
        for number in removed:
            model.pop(number, None)
        for number in rows:
            model[number] = dataclasses.replace(row(number), seconds=float(at))
        pile.apply(JobRows("a", tuple(model[n] for n in rows), tuple(removed), reset), Change())
        assert pile.order == sorted(model)
        assert pile.records == model


def test_results_are_sorted_as_numbers_where_they_are_numbers_and_reasons_come_last():
    pile = Pile()
    results = ["10", "9", "-3.5", "0.25", "praise 0.9", "praise 0.12", "billing 0.5"]
    rows = [row(n, "done", summary=text) for n, text in enumerate(results, 1)]
    rows += [row(8, "failed", reason="a file that is missing"), row(9, "skipped", reason="empty")]
    rows += [row(10, "running", summary="an answer in the making"), row(11, "waiting")]
    pile.apply(JobRows("a", tuple(rows)), Change())

    def sorted_(*, descending: bool) -> list[str]:
        return [pile.records[n].summary for n in pile.sorted_by_result(pile.order, descending=descending)[:7]]

    expected = ["-3.5", "0.25", "9", "10", "billing 0.5", "praise 0.12", "praise 0.9"]
    assert sorted_(descending=False) == expected
    assert sorted_(descending=True) == expected[::-1]
    for descending in (False, True):
        assert pile.sorted_by_result(pile.order, descending=descending)[7:] == [8, 9, 10, 11]


def test_a_result_that_changes_changes_its_place():
    pile = Pile()
    pile.apply(JobRows("a", (row(1, "done", summary="5"), row(2, "done", summary="7"))), Change())
    assert pile.sorted_by_result(pile.order, descending=False) == [1, 2]
    pile.apply(JobRows("a", (row(1, "done", summary="8"),)), Change())
    assert pile.sorted_by_result(pile.order, descending=False) == [2, 1]


@given(st.lists(st.text(max_size=12)))
def test_any_results_can_be_sorted(texts):
    pile = Pile()
    pile.apply(JobRows("a", tuple(row(n, "done", summary=text) for n, text in enumerate(texts))), Change())
    assert sorted(pile.sorted_by_result(pile.order, descending=True)) == pile.order
