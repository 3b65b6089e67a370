"""The oracle of generation: greedy tokens of transformers' own ``generate()``, one prompt at a time, in float32."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import decoder_models
import numpy as np
import torch

from engine.inference.generation.gates import Mode, choose_mode
from engine.inference.generation.generator import Generator
from engine.inference.generation.prefix import Prefix
from engine.inference.generation.sequence import Sequence
from engine.requests.sampling import SamplingSettings

TIE = 1e-4
"""Where the oracle's two largest logits are closer than this, another token is not an error."""

SHARED = 19
"""Tokens that half of the prompts begin with."""

LENGTHS = (5, 34, 61, 25, 44, 28, 3, 22, 20)
"""Tokens of the prompts; every second one begins with the shared tokens and is longer than those."""

NEW = (24, 10, 31, 24, 12, 28, 20, 34, 1)
"""New tokens of each prompt: they leave at different times, and some outgrow their length class."""

CLASSES = (16, 48, 96)
BUDGET = 10**8


@dataclass(frozen=True)
class Case:
    """One way of running the prompts."""

    workers: int
    slots: int
    chunk: int
    prefix: bool

    def __str__(self) -> str:
        return f"{self.workers} workers, {self.slots} slots, chunk {self.chunk}, prefix {self.prefix}"


WHOLE = 4096
"""A token budget that no prompt exceeds."""

CROSS = [Case(w, b, c, p) for w in (1, 2, 3) for b in (1, 3, 8) for c in (16, WHOLE) for p in (False, True)]

PAIRWISE = [
    Case(1, 1, 16, False),
    Case(1, 3, WHOLE, True),
    Case(1, 8, 16, True),
    Case(2, 1, WHOLE, True),
    Case(2, 3, 16, False),
    Case(2, 8, WHOLE, False),
    Case(3, 1, 16, True),
    Case(3, 3, WHOLE, False),
    Case(3, 8, 16, True),
]
"""Every pair of two settings at least once."""


@dataclass(frozen=True)
class Truth:
    """What ``generate()`` wrote: tokens, and at each of them how far the second-best logit was away."""

    tokens: list[int]
    gaps: list[float]


@dataclass(frozen=True)
class Subject:
    """A model, its mode, the prompts and what must come of them."""

    model: Any
    mode: Mode
    prompts: list[np.ndarray]
    truths: list[Truth]

    @property
    def shared(self) -> np.ndarray:
        return self.prompts[1][:SHARED]


def prompts() -> list[np.ndarray]:
    random = np.random.default_rng(5)
    shared = random.integers(3, decoder_models.VOCABULARY, SHARED)
    result = []
    for i, n in enumerate(LENGTHS):
        own = random.integers(3, decoder_models.VOCABULARY, n)
        if i % 2 and n > SHARED:
            own[:SHARED] = shared
        result.append(own)
    return result


def truth(model: Any, prompt: np.ndarray, new: int) -> Truth:
    out = model.generate(
        torch.from_numpy(prompt)[None],
        max_new_tokens=new,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
    )
    best = torch.cat(out.logits).topk(2).values
    return Truth(out.sequences[0, -new:].tolist(), (best[:, 0] - best[:, 1]).tolist())


@lru_cache(maxsize=3)
def subject(family: str) -> Subject:
    return changed(decoder_models.make(family), lambda _model: None)


def changed(model: Any, change: Callable[[Any], object]) -> Subject:
    """Return a subject whose truths are of ``model`` as it is, and whose model is what ``change`` makes of it."""
    torch.set_num_threads(1)
    mine = prompts()
    truths = [truth(model, prompt, new) for prompt, new in zip(mine, NEW, strict=True)]
    change(model)
    return Subject(model, choose_mode(model), mine, truths)


def run_worker(subject: Subject, numbers: list[int], case: Case, prefix: Prefix | None) -> dict[int, list[int]]:
    """Run some of the prompts through a generator; one comes late, and a stranger is taken back on the way."""
    assert subject.mode.shape is not None
    generator = Generator(
        subject.model,
        subject.mode.shape,
        slots=case.slots,
        kv_budget=BUDGET,
        classes=CLASSES,
        token_budget=case.chunk,
        max_tokens=subject.mode.max_tokens,
    )
    late = list(numbers)
    first = late[: max(1, len(late) // 2)]
    late = late[len(first) :]

    def add(number: int) -> None:
        settings = SamplingSettings(max_new_tokens=NEW[number])
        generator.add(Sequence(number, subject.prompts[number], settings), prefix)

    generator.add(Sequence(99, subject.prompts[2][::-1].copy(), SamplingSettings(max_new_tokens=9)))
    for number in first:
        add(number)
    result: dict[int, list[int]] = {}
    steps = 0
    while len(generator) or late:
        for event in generator.step():
            if event.finished is not None and event.id != 99:
                assert event.finished.reason == "length"
                result[event.id] = list(event.finished.tokens)
        steps += 1
        if late and steps % 2 == 0:
            add(late.pop(0))
        if steps == 5:
            generator.cancel(99)
    assert generator.scheduler.reserved == 0
    assert all(generator.memory.used(c) == 0 for c in range(len(CLASSES)))
    return result


def run(subject: Subject, case: Case) -> dict[int, list[int]]:
    """Run all prompts over as many threads as the case has workers; returns the tokens by prompt."""
    prefix = Prefix(subject.shared) if case.prefix else None
    result: dict[int, list[int]] = {}
    problems: list[BaseException] = []

    def worker(index: int) -> None:
        torch.set_num_threads(1)
        try:
            result.update(run_worker(subject, list(range(index, len(NEW), case.workers)), case, prefix))
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=worker, args=(i,)) for i in range(case.workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]
    return result


def ties(truths: list[Truth], ours: dict[int, list[int]], what: str) -> int:
    """Compare tokens, allow ties, and return how many there were; anything else is an error."""
    assert sorted(ours) == list(range(len(truths))), what
    count = 0
    for number, expected in enumerate(truths):
        found = ours[number]
        if found == expected.tokens:
            continue
        assert len(found) == len(expected.tokens), f"{what}: prompt {number} has {len(found)} tokens"
        place = next(i for i, (a, b) in enumerate(zip(found, expected.tokens, strict=True)) if a != b)
        gap = expected.gaps[place]
        assert gap < TIE, f"{what}: prompt {number} differs at token {place}, where the oracle is sure by {gap:.3g}"
        print(f"tie: {what}: prompt {number}, token {place}, gap {gap:.2g}")
        count += 1
    return count


def check(family: str, cases: list[Case]) -> None:
    """Run a family in all ``cases``; at most one text in a hundred may be a tie."""
    check_subject(subject(family), family, cases)


def check_subject(mine: Subject, family: str, cases: list[Case]) -> None:
    """Do what ``check`` does for a subject at hand."""
    assert mine.mode.kind == "slots", mine.mode.reason
    found = sum(ties(mine.truths, run(mine, case), f"{family}, {case}") for case in cases)
    total = len(cases) * len(NEW)
    assert found <= max(1, total // 100), f"{found} ties in {total} texts"
