import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gui.charts.bands import Bands


@given(st.integers(1, 128), st.integers(1, 400))
def test_every_pixel_line_shows_a_band_or_a_gap_and_bands_keep_their_order(count, pixels):
    lines = Bands(count, pixels).lines([count // 2])
    assert len(lines) == pixels
    shown = lines[lines >= 0]
    assert (np.diff(shown) >= 0).all()
    if pixels >= count:
        assert set(shown.tolist()) == set(range(count))


@given(st.integers(1, 128), st.integers(1, 400))
def test_a_label_s_middle_lies_in_its_own_band(count, pixels):
    bands = Bands(count, pixels)
    lines = bands.lines()
    for row in range(count if pixels >= count else 0):
        assert lines[min(pixels - 1, int(bands.middle(row)))] == row


def test_groups_are_further_apart_than_rows():
    lines = Bands(4, 40).lines([2]).tolist()
    gaps = [i for i, row in enumerate(lines) if row < 0]
    assert gaps == [10, 19, 20, 30]


@given(st.lists(st.integers(0, 59), unique=True), st.floats(1.0, 50.0))
def test_labels_never_come_closer_than_they_may_and_the_first_wish_is_kept(wanted, apart):
    bands = Bands(60, 300)
    kept = bands.labelled(wanted, apart)
    middles = [bands.middle(row) for row in kept]
    assert all(b - a >= apart for a, b in itertools.pairwise(middles))
    assert kept == sorted(kept)
    assert not wanted or wanted[0] in kept
