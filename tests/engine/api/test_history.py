import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api.history import Rate, Ring


@given(capacity=st.integers(1, 9), values=st.lists(st.floats(-1e6, 1e6), max_size=40))
def test_a_ring_shows_the_last_records_in_time_order(capacity, values):
    ring = Ring(capacity, ("time", "value"))
    for i, value in enumerate(values):
        ring.append(i, value)
        assert len(ring) == min(i + 1, capacity)
    assert ring.view("value").tolist() == values[-capacity:]
    assert ring.view("time").tolist() == list(range(len(values)))[-capacity:]


def test_a_view_is_the_ring_s_own_memory():
    ring = Ring(4, ("value",))
    for i in range(6):
        ring.append(i)
        assert np.shares_memory(ring.view("value"), ring._data)
        assert ring.view("value").flags["C_CONTIGUOUS"]


def test_last_is_the_newest_value():
    ring = Ring(3, ("a", "b"))
    assert np.isnan(ring.last("a"))
    for i in range(7):
        ring.append(i, -i)
        assert (ring.last("a"), ring.last("b")) == (i, -i)


def test_a_cleared_ring_is_empty_and_fills_again():
    ring = Ring(3, ("a",))
    for i in range(5):
        ring.append(i)
    ring.clear()
    assert ring.view("a").tolist() == []
    ring.append(9)
    assert ring.view("a").tolist() == [9]


def test_records_of_the_wrong_size_are_refused():
    with pytest.raises(ValueError, match="2 values, not 1"):
        Ring(3, ("a", "b")).append(1)
    with pytest.raises(ValueError, match="at least one"):
        Ring(0, ("a",))
    with pytest.raises(ValueError, match="twice"):
        Ring(2, ("a", "a"))


def test_rate_of_a_steady_total_is_its_slope():
    rate = Rate(5.0)
    assert rate.update(0.0, 0.0) == 0.0
    for i in range(1, 200):
        assert rate.update(i * 0.1, 12.0 * i * 0.1) == pytest.approx(12.0)


def test_rate_forgets_what_is_older_than_the_window():
    rate = Rate(5.0)
    for i in range(101):
        rate.update(i * 0.1, 50.0 * i * 0.1)
    for i in range(101, 160):
        last = rate.update(i * 0.1, 500.0)
    assert last == 0.0


def test_rate_over_the_window_is_the_mean_of_the_last_seconds():
    rate = Rate(5.0)
    for i in range(101):
        last = rate.update(i * 0.1, 0.0 if i <= 75 else 10.0 * (i - 75))
    assert last == pytest.approx(250.0 / 5.0)


@pytest.mark.parametrize(("time", "total"), [(2.1, 3.0), (0.5, 40.0), (500.0, 1e9)])
def test_a_restart_or_a_gap_starts_anew(time, total):
    rate = Rate(5.0)
    for i in range(21):
        rate.update(i * 0.1, 10.0 * i)
    assert rate.update(time, total) == 0.0
    assert rate.update(time + 1.0, total + 7.0) == pytest.approx(7.0)


def test_two_totals_at_one_time_are_no_division_by_zero():
    rate = Rate(5.0)
    rate.update(0.0, 0.0)
    rate.update(1.0, 5.0)
    assert rate.update(1.0, 6.0) == pytest.approx(6.0)


def test_a_cleared_rate_starts_anew():
    rate = Rate()
    rate.update(0.0, 0.0)
    rate.update(1.0, 5.0)
    rate.clear()
    assert rate.update(2.0, 100.0) == 0.0
