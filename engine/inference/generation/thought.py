"""Thoughts: what a model writes between ``<think>`` and ``</think>`` before its answer, told apart from the answer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

PAIRS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
)
"""What opens and closes a thought in the families that think (Qwen3, DeepSeek R1, SmolLM3, EXAONE, Magistral, Seed)."""

CHANNEL, CHANNEL_END = "<|channel|>", "<|end|>"
CHANNEL_MARKS = frozenset((CHANNEL, CHANNEL_END, "<|message|>", "<|start|>"))
"""The marks of gpt-oss, which names a channel for everything that it writes (the harmony format)."""

_TURN = r"(?:<\|start\|>\s*assistant\s*)?<\|channel\|>\s*"
_CHANNEL_THOUGHT = re.compile(_TURN + r"(?:analysis|commentary)\s*<\|message\|>")
_CHANNEL_ANSWER = re.compile(_TURN + r"final\s*<\|message\|>\s*")

MARKS = frozenset(mark for pair in PAIRS for mark in pair)


@dataclass(frozen=True, slots=True)
class Thought:
    """A text as ``thought`` and ``answer``; ``ends`` is false for a thought that was never closed."""

    thought: str
    answer: str
    ends: bool = True


def marks_among(names: Iterable[str]) -> set[str]:
    """Return those of a tokenizer's marks that tell a thought from an answer, and that a text therefore has to show."""
    known = set(names)
    return known & (MARKS | CHANNEL_MARKS if CHANNEL in known else MARKS)


def left_open(prompt: str) -> str:
    """Return what closes the thought in which a template's prompt ends, as DeepSeek R1's do; empty if in none."""
    end = prompt.rstrip()
    return next((closing for opening, closing in PAIRS if end.endswith(opening)), "")


def split(text: str, *, opened: bool = False) -> Thought:
    """Return the thoughts at the beginning of ``text`` and the answer behind them.

    ``opened`` says that the prompt ended within a thought. What stands in the middle of an answer is the answer's.
    """
    thoughts: list[str] = []
    rest = text
    while True:
        start = rest.lstrip()
        channel = _CHANNEL_THOUGHT.match(start)
        opening = channel[0] if channel else next((mark for mark, _ in PAIRS if start.startswith(mark)), "")
        if not opening and not opened:
            break
        start = start[len(opening) :]
        closings = [closing for mark, closing in PAIRS if not opening or mark == opening]
        closings = [CHANNEL_END] if channel else closings
        found = min(((place, mark) for mark in closings if (place := start.find(mark)) >= 0), default=None)
        if found is None:
            return Thought("\n\n".join([*thoughts, start.strip()]).strip(), "", ends=False)
        place, closing = found
        thoughts.append(start[:place].strip())
        rest, opened = start[place + len(closing) :].lstrip(), False
    answer = _CHANNEL_ANSWER.match(rest.lstrip())
    rest = rest.lstrip()[answer.end() :] if answer else rest
    return Thought("\n\n".join(filter(None, thoughts)), rest)
