import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gui.charts.labels import compact, compact_size, percentage, short_size
from gui.charts.series import Scale, nice


@pytest.mark.parametrize(
    ("value", "top"),
    [
        (0.0, 0.1),
        (0.07, 0.1),
        (0.15, 0.2),
        (1.0, 1.0),
        (1.01, 2.0),
        (2.5, 5.0),
        (7.0, 10.0),
        (420.0, 500.0),
        (1e6, 1e6),
    ],
)
def test_nice_is_the_next_of_one_two_five(value, top):
    assert nice(value) == pytest.approx(top)


@given(st.floats(0.1, 1e12))
def test_nice_is_never_below_and_never_far_above(value):
    assert value <= nice(value) * (1 + 1e-6)
    assert nice(value) <= 2.5 * value * (1 + 1e-6)


def test_scale_grows_at_once():
    scale = Scale(1.0)
    assert scale.update(0.0, 730.0)
    assert scale.top == 1000.0


def test_scale_shrinks_only_after_less_was_enough_for_a_while():
    scale = Scale(1.0, hold=4.0)
    scale.update(0.0, 90.0)
    for tenth in range(40):
        assert not scale.update(1.0 + tenth / 10, 8.0)
        assert scale.top == 100.0
    assert scale.update(5.0, 8.0)
    assert scale.top == 10.0


def test_a_peak_starts_the_wait_anew():
    scale = Scale(1.0, hold=4.0)
    scale.update(0.0, 90.0)
    scale.update(1.0, 8.0)
    scale.update(3.0, 90.0)
    assert not scale.update(5.5, 8.0)
    assert not scale.update(9.0, 8.0)
    assert scale.update(9.5, 8.0)


def test_scale_never_ends_below_its_least_and_ignores_what_is_no_number():
    scale = Scale(10.0)
    scale.update(0.0, math.nan)
    assert scale.top == 10.0
    scale.update(1.0, 0.5)
    assert scale.top == 10.0
    scale.update(2.0, 800.0)
    scale.reset()
    assert scale.top == 10.0


def test_labels_are_short(qapp):
    assert [compact(v) for v in (0.0, 0.5, 1.0, 200.0, 5e3, 2.5e3, 2e4, 2e7, 1e9)] == [
        *("0", "0.5", "1", "200", "5k", "2.5k", "20k", "20M", "1G"),
    ]
    assert [compact_size(v) for v in (0.0, 5e8, 2e9)] == ["0", "500 MB", "2 GB"]
    assert [short_size(v) for v in (967.8e6, 1.24e9, 12.4e9, 999.9e6)] == ["968 MB", "1.2 GB", "12.4 GB", "1.0 GB"]
    assert [percentage(v) for v in (0.0, 0.996, 2.0)] == ["0 %", "100 %", "200 %"]
