"""Windows hold every token, and say so where they do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.documents.split import Window, coverage, windows
from engine.requests.overflow import Overflow


@given(st.integers(0, 5000), st.integers(1, 600))
def test_split_covers_every_token_with_full_windows(tokens, size):
    found = windows(tokens, size)
    covered = {i for w in found for i in range(w.start, w.stop)}
    assert covered == set(range(tokens))
    assert coverage(tokens, found) == 1.0
    if tokens > size:
        assert {w.stop - w.start for w in found} == {size}


@given(st.integers(1, 5000), st.integers(1, 600))
def test_head_and_tail_keep_one_window_and_say_how_much(tokens, size):
    for policy in (Overflow.HEAD, Overflow.TAIL):
        (window,) = windows(tokens, size, policy)
        assert window.stop - window.start == min(tokens, size)
        assert coverage(tokens, [window]) == min(tokens, size) / tokens
    assert windows(tokens, size, Overflow.HEAD)[0].start == 0
    assert windows(tokens, size, Overflow.TAIL)[0].stop == tokens


def test_fail_keeps_nothing_of_a_text_that_does_not_fit():
    assert windows(11, 10, Overflow.FAIL) == []
    assert windows(10, 10, Overflow.FAIL) == [Window(0, 10)]


def test_an_empty_text_is_one_empty_window():
    assert windows(0, 10) == [Window(0, 0)]
    assert coverage(0, [Window(0, 0)]) == 1.0


def test_a_window_of_nothing_is_refused():
    with pytest.raises(ValueError, match="0 tokens"):
        windows(5, 0)
