"""The prompts of BENCH.md: seeded random tokens, the same for every side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

BATCH = 32
"""Prompts in one of transformers' padded batches."""

ALONE = 4
"""Prompts of the side that takes one after the other."""


UPPER, LOWER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"

FIRST_WORD = 1 + 2 * 26 + 26 * 26
"""The first token that is a word of its own: before it come the end mark, the letters, and the beginnings of words."""


@dataclass(frozen=True, slots=True)
class Work:
    """A pile of prompts, each a list of token ids, and the new tokens of each answer."""

    name: str
    prompts: tuple[tuple[int, ...], ...]
    new_tokens: int

    def tokens(self, documents: int | None = None) -> int:
        """Return prompt and new tokens of the first ``documents`` (None: all)."""
        return sum(len(prompt) + self.new_tokens for prompt in self.prompts[:documents])

    def prompt_tokens(self) -> int:
        """Return the tokens of all prompts."""
        return sum(map(len, self.prompts))


def make_work(
    name: str, vocabulary: int, *, documents: int, shortest: int, longest: int, new_tokens: int, seed: int = 7
) -> Work:
    """Return ``documents`` prompts of ``shortest`` to ``longest`` random tokens of a vocabulary."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(shortest, longest + 1, documents)
    prompts = tuple(tuple(int(token) for token in draw.integers(FIRST_WORD, vocabulary, n)) for n in lengths)
    return Work(name, prompts, new_tokens)


def work_a(vocabulary: int, documents: int = 64, new_tokens: int = 48) -> Work:
    """Return Work A: 64 prompts of 64 to 320 tokens, 48 new tokens each."""
    return make_work("A", vocabulary, documents=documents, shortest=64, longest=320, new_tokens=new_tokens)


def work_a_long(vocabulary: int, documents: int = 32, new_tokens: int = 64) -> Work:
    """Return Work A-long: 32 prompts of 1,000 to 4,000 tokens, 64 new tokens each."""
    return make_work("A-long", vocabulary, documents=documents, shortest=1000, longest=4000, new_tokens=new_tokens)


@lru_cache(maxsize=1)
def vocabulary_of(size: int) -> tuple[list[str], list[list[str]]]:
    """Return the words of all ``size`` tokens, and the merges of a byte-pair tokenizer that knows them.

    A word is a capital and two or three small letters. Nothing merges across a capital, so words put side by side are
    one token each, in the byte-pair format that the families' own tokenizer classes insist on.
    """
    words, merges = ["<|endoftext|>", *UPPER, *LOWER], []
    before = list(UPPER)
    while len(words) < size:
        longer = [(word, letter) for word in before for letter in LOWER][: size - len(words)]
        merges += [list(pair) for pair in longer]
        before = ["".join(pair) for pair in longer]
        words += before
    return words, merges


def text_of(prompt: Sequence[int], size: int) -> str:
    """Return the text of tokens from a vocabulary of ``size``; that of words is tokenized back to the same."""
    words, _ = vocabulary_of(size)
    return "".join(words[token] for token in prompt)
