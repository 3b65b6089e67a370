import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gui.charts.columns import Columns, fold_columns, fold_rows, pick_columns


def codes(rows):
    return np.array(rows, dtype=np.uint8)


def test_columns_scroll_with_the_clock_and_new_ones_have_no_data():
    columns = Columns(count=5, step=0.5)
    assert columns.advance(10.0) == 0
    columns.codes[0] = [1, 2, 3, 4, 5]
    assert columns.advance(10.4) == 0
    assert columns.advance(11.1) == 2
    assert columns.codes[0].tolist() == [3, 4, 5, 0, 0]


@pytest.mark.parametrize(("now", "fresh"), [(1000.0, 5), (2.0, 0)])
def test_a_long_pause_or_a_clock_that_goes_back_leaves_nothing(now, fresh):
    columns = Columns(count=5, step=0.5)
    columns.advance(10.0)
    columns.codes[0] = 7
    assert columns.advance(now) == fresh
    assert not columns.codes.any()


def test_more_rows_come_empty_and_keep_those_before():
    columns = Columns(count=3)
    columns.codes[:] = 9
    before = len(columns.codes)
    columns.need(before + 40)
    assert len(columns.codes) >= before + 40
    assert (columns.codes[:before] == 9).all()
    assert not columns.codes[before:].any()


def test_folding_averages_what_is_known():
    folded, lacking = fold_columns(codes([[10, 20, 0, 40, 0, 0]]), 2, newest=5)
    assert folded.tolist() == [[15, 40, 0]]
    assert lacking == 0


def test_a_fold_that_has_begun_is_shown_with_what_it_has():
    folded, lacking = fold_columns(codes([[9, 10, 20, 30, 50]]), 2, newest=6)
    assert folded.tolist() == [[10, 25, 50]]
    assert lacking == 1


@given(st.integers(1, 6), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_folds_do_not_change_as_they_scroll(factor, start, seed):
    data = np.random.default_rng(seed).integers(0, 256, (3, 200), dtype=np.uint8)
    for fold in (fold_columns, pick_columns):
        newest = start + 59
        before, lacking = fold(data[:, start : start + 60], factor, newest)
        after, lacking_after = fold(data[:, start + 1 : start + 61], factor, newest + 1)
        full = before.shape[1] - (lacking > 0)
        after_full = after.shape[1] - (lacking_after > 0)
        same = min(full, after_full) - 1
        # full folds are numbered from the border at the running column 0
        ends = (newest + 1) // factor, (newest + 2) // factor
        shift = ends[1] - ends[0]
        right = after[:, after_full - shift - same : after_full - shift]
        assert np.array_equal(before[:, full - same : full], right)


def test_picking_never_invents_a_code():
    picked, lacking = pick_columns(codes([[1, 4, 1, 4, 2]]), 2, newest=4)
    assert picked.tolist() == [[4, 4, 2]] or picked.tolist() == [[1, 1, 2]]
    assert set(picked.ravel().tolist()) <= {1, 2, 4}
    assert lacking == 1


def test_too_many_rows_are_averaged_in_neighbours():
    folded, factor = fold_rows(codes([[10], [20], [30], [50], [0]]), most=3)
    assert (folded.tolist(), factor) == ([[15], [40], [0]], 2)
    untouched, factor = fold_rows(codes([[1], [2]]), most=2)
    assert (untouched.tolist(), factor) == ([[1], [2]], 1)
