"""Thoughts: what a model writes between ``<think>`` and ``</think>`` before its answer, told apart from the answer."""

from __future__ import annotations

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

MARKS = frozenset(mark for pair in PAIRS for mark in pair)


@dataclass(frozen=True, slots=True)
class Thought:
    """A text as ``thought`` and ``answer``; ``ends`` is false for a thought that was never closed."""

    thought: str
    answer: str
    ends: bool = True


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
        opening = next((opening for opening, _ in PAIRS if start.startswith(opening)), "")
        if not opening and not opened:
            break
        start = start[len(opening) :]
        closings = [closing for mark, closing in PAIRS if not opening or mark == opening]
        found = min(((place, mark) for mark in closings if (place := start.find(mark)) >= 0), default=None)
        if found is None:
            return Thought("\n\n".join([*thoughts, start.strip()]).strip(), "", ends=False)
        place, closing = found
        thoughts.append(start[:place].strip())
        rest, opened = start[place + len(closing) :].lstrip(), False
    return Thought("\n\n".join(filter(None, thoughts)), rest if thoughts else text)
