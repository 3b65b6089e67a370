"""Numbers, times and counts as the user reads them."""

from __future__ import annotations

import pytest

from gui import words


@pytest.fixture(autouse=True)
def _english(theme):
    """Numbers and plurals as the running program sets them."""


def test_numbers_have_separators():
    assert words.number(1234567) == "1,234,567"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (7.6, "8 s"),
        (59.4, "59 s"),
        (61, "1 min 1 s"),
        (3599, "59 min 59 s"),
        (7500, "2 h 5 min"),
        (-3, "0 s"),
    ],
)
def test_durations_have_at_most_two_units(seconds, expected):
    assert words.duration(seconds) == expected


def test_a_share_is_100_percent_only_when_it_is_all():
    assert words.percent(0.999999) == "99 %"
    assert words.percent(1.0) == "100 %"
    assert words.percent(0.0) == "0 %"


def test_one_document_is_singular():
    assert words.documents(1) == "1 document"
    assert words.documents(0) == "0 documents"
    assert words.documents(1000) == "1,000 documents"


def test_sizes_and_counts_of_parameters():
    assert words.data_size(91_000_000) == "91.0 MB"
    assert words.parameter_count(22_713_216) == "22.7 million"
    assert words.parameter_count(1_240_000_000) == "1.24 billion"
    assert words.parameter_count(512) == "512"


def test_rates_have_three_digits():
    assert [words.rate(x) for x in (0.126, 22.44, 512.3)] == ["0.13", "22.4", "512"]


def test_engine_words_without_translation_stay():
    assert words.engine_text("some sentence") == "some sentence"
    assert words.engine_text("") == ""
