"""What came out, beside the table: a bar a label, a click filters; label, score and warning in columns of their own."""

from __future__ import annotations

from test_main_window import filled, run
from window_helpers import wait_for

from gui.tables.pile_table import Column
from gui.widgets.label_bars import MOST, LabelBars


def labelled(qtbot, make_window):
    window = filled(qtbot, make_window)
    window.task_panel.preset("classify", {"labels": "delivery\nbilling\npraise"})
    run(qtbot, window)
    wait_for(qtbot, window.pile_panel.labels.isVisible)
    return window


def test_a_click_on_a_label_shows_its_documents_and_a_second_one_all(qtbot, make_window):
    window = labelled(qtbot, make_window)
    bars, table = window.pile_panel.labels, window.pile_panel.table
    counts = window.session.job.pile.labels
    everything = table.rowCount()
    label, count = next(iter(counts.items()))
    assert bars.button(label).text() == f"{label} {count}"
    bars.button(label).click()
    assert table.rowCount() == count
    assert window.pile_panel.share.text() == f"{count} of {everything}"
    assert {table.index(at, Column.LABEL).data() for at in range(count)} == {label}
    bars.button(label).click()
    assert table.rowCount() == everything
    assert window.pile_panel.share.isHidden()
    assert not bars.button(label).isChecked()


def test_results_with_labels_have_columns_of_their_own_and_others_one(qtbot, make_window):
    window = labelled(qtbot, make_window)
    header = window.pile_panel.view.horizontalHeader()
    assert not any(header.isSectionHidden(c) for c in (Column.LABEL, Column.SCORE, Column.WARNING))
    assert header.isSectionHidden(Column.RESULT)
    window.session.commands.new_pile("other")
    wait_for(qtbot, lambda: not header.isSectionHidden(Column.RESULT))
    assert all(header.isSectionHidden(c) for c in (Column.LABEL, Column.SCORE, Column.WARNING))
    assert not window.pile_panel.labels.isVisible()


def test_another_pile_is_not_filtered_by_a_label_that_it_does_not_have(qtbot, make_window):
    window = labelled(qtbot, make_window)
    window.pile_panel.labels.button(next(iter(window.session.job.pile.labels))).click()
    assert window.pile_panel.table.filtered
    window.session.commands.new_pile("other")
    assert not window.pile_panel.table.filtered


def test_bars_say_the_share_and_the_unsure_ones_are_last(qtbot, theme):
    bars = LabelBars(theme)
    qtbot.addWidget(bars)
    bars.set_counts({"": 5, "b & c": 10, "a": 20})
    assert [button.text() for button in bars._buttons.values()] == ["b && c 10", "a 20", "unsure 5"]
    assert [button.share for button in bars._buttons.values()] == [0.5, 1.0, 0.25]
    assert bars.button("b & c").accessibleName() == "b & c 10"


def test_of_very_many_labels_the_most_frequent_have_a_bar_and_the_rest_is_counted(qtbot, theme):
    bars = LabelBars(theme)
    qtbot.addWidget(bars)
    bars.set_counts({f"label {n}": n for n in range(1, 101)})
    assert len(bars._buttons) == MOST
    assert bars._more.text() == f"and {100 - MOST} more labels"
    chosen = []
    bars.chosen.connect(chosen.append)
    bars.button("label 100").click()
    bars.set_counts({"label 1": 1})
    assert chosen == ["label 100", None]


def test_in_a_narrow_window_label_and_score_are_seen_without_scrolling(qtbot, make_window):
    window = labelled(qtbot, make_window)
    view = window.pile_panel.view
    window.resize(1000, 600)
    window.arrangement.place()

    def seen():
        right = [view.columnViewportPosition(c) + view.columnWidth(c) for c in (Column.LABEL, Column.SCORE)]
        return max(right) <= view.viewport().width()

    wait_for(qtbot, seen)
    assert not view.isColumnHidden(Column.NAME)
    window.session.commands.new_pile("other")
    wait_for(qtbot, lambda: not view.isColumnHidden(Column.TOKENS))
