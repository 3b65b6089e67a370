"""Sentences: places in the text, all of it covered, and no end where there is none."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.documents.sentences import sentence_spans


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        (
            "Dr. Smith met Mr. Jones at 5 p.m. on Monday. They spoke.",
            ["Dr. Smith met Mr. Jones at 5 p.m. on Monday.", "They spoke."],
        ),
        (
            "It costs 3.50 euro, e.g. for J. R. Miller. Really!",
            ["It costs 3.50 euro, e.g. for J. R. Miller.", "Really!"],
        ),
        ('He said "Go." Then he left...\nAnd came back.', ['He said "Go."', "Then he left...", "And came back."]),
        ("A heading\n\nA line that is\nwrapped. Next", ["A heading", "A line that is\nwrapped.", "Next"]),
        ("You need:\n- bread\n- water\n1. Go. 2", ["You need:", "- bread", "- water", "1. Go.", "2"]),
        ("停电了。数据没有丢失！真的吗？“是的。”好", ["停电了。", "数据没有丢失！", "真的吗？", "“是的。”", "好"]),
        (" \n\t ", []),
        ("", []),
        ("see https://example.org/a.b?c=d for more", ["see https://example.org/a.b?c=d for more"]),
    ],
)
def test_sentences_of_english_and_chinese(text, found):
    assert sentences(text) == found


@given(st.text(alphabet='Ab1 .!?\n。！-)"', max_size=80))
def test_all_that_is_not_space_is_in_exactly_one_sentence(text):
    spans = sentence_spans(text)
    assert all(a < b for a, b in spans)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))
    left = set(range(len(text))) - {at for a, b in spans for at in range(a, b)}
    assert all(text[at].isspace() for at in left)
    assert all(not text[a].isspace() and not text[b - 1].isspace() for a, b in spans)
