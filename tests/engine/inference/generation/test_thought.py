"""Thoughts are told apart from answers, whoever opened them, and one that never ends leaves no answer."""

from __future__ import annotations

import pytest

from engine.inference.generation.thought import Thought, left_open, split


@pytest.mark.parametrize(
    ("text", "opened", "expected"),
    [
        ("<think>\nIs it?\n</think>\n\nYes.", False, Thought("Is it?", "Yes.")),
        ("  <think></think>Yes. ", False, Thought("", "Yes. ")),
        ("Is it?</think>Yes.", True, Thought("Is it?", "Yes.")),
        ("[THINK]a[/THINK]b", False, Thought("a", "b")),
        ("<seed:think>a</seed:think>b", False, Thought("a", "b")),
        ("<think>a</think><think>b</think>c", False, Thought("a\n\nb", "c")),
        ("<think>a [/THINK] b</think>c", False, Thought("a [/THINK] b", "c")),
        ("<think>no end", False, Thought("no end", "", ends=False)),
        ("no end", True, Thought("no end", "", ends=False)),
        ("<think>a</think><think>b", False, Thought("a\n\nb", "", ends=False)),
        ("", True, Thought("", "", ends=False)),
        (
            " The tag <think> opens and </think> closes.",
            False,
            Thought("", " The tag <think> opens and </think> closes."),
        ),
        ("a</think>b", False, Thought("", "a</think>b")),
        ("<thinker>", False, Thought("", "<thinker>")),
        ("", False, Thought("", "")),
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b",
            False,
            Thought("a", "b"),
        ),
        ("<|channel|>final<|message|>b", False, Thought("", "b")),
        ("<|channel|>analysis<|message|>a", False, Thought("a", "", ends=False)),
    ],
)
def test_what_is_thought_and_what_is_answer(text, opened, expected):
    assert split(text, opened=opened) == expected


def test_a_prompt_that_ends_within_a_thought_says_what_closes_it():
    assert left_open("<assistant>\n<think>\n") == "</think>"
    assert left_open("[THINK]") == "[/THINK]"
    assert left_open("<think>\n\n</think>\n\n") == left_open("") == ""
