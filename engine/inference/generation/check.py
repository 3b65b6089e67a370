"""The self-check at load: teacher-forced logits of packed, staggered, chunked sequences against plain forwards.

Logits, not tokens, because tokens hide small faults and exaggerate ties. FAMILIES.md measured the RMS difference in units
of the logits' standard deviation: at most 1.3e-6 where a float32 model runs right and 0.034 in bfloat16, at least 0.061
under an injected fault (window, softcap, sinks, positions, a wrong slot).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from engine.inference.generation import attention
from engine.inference.generation.layout import Layout
from engine.inference.generation.sampling import TokenIds
from engine.inference.generation.scheduler import Entry, Scheduler, Step
from engine.inference.generation.slots import MemoryShape, SlotMemory

TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.05, torch.float16: 0.02}
"""Largest RMS difference of logits, in units of their standard deviation, that counts as the same answer."""

TOLERANCE_AFTER_TWIN = {torch.bfloat16: 0.15, torch.float16: 0.05}
"""The same for a model whose float32 twin was right: what is left is rounding, and that of experts or of a softmax in
bfloat16 (gpt_oss: 0.06 with random weights) must not cost a right family its speed."""

NOISE, MOST_NOISE = 2.0, 0.5
"""How many times as far as its own rounding moves it a rounded model may be off, and the most that this excuses: answers
that agree less than that would not show a fault. A trained model of 135M is moved by 0.1 in bfloat16, by 0.4 where
activations have 8 bits and outliers, and by 0.06 to 0.3 between packed and plain."""

CLASSES = (32, 128)
"""Length classes of the check; the prompt of 26 tokens outgrows the first one on its way."""

LENGTHS = (7, 40, 26)
"""Tokens of the check's prompts."""

CHUNK = 16
"""Token budget of a step, so that prompts arrive in several pieces between decode rows."""


@dataclass(slots=True, eq=False)
class _Forced(Entry):
    """A sequence whose whole text is known beforehand."""

    tokens: TokenIds = field(kw_only=True)
    logits: list[torch.Tensor] = field(default_factory=list, init=False)


def forward(
    model: Any, layout: Layout, ids: TokenIds, positions: TokenIds, rows: TokenIds, cancelled: Any = None
) -> torch.Tensor:
    """Run the whole causal model over the row of a step; returns logits ``[rows, vocabulary]`` of the chosen rows.

    ``ids``, ``positions`` are ``[tokens]``. The layout's states are written when the forward is complete.
    """
    device = layout.memory.device
    with attention.running(layout, cancelled):
        logits = model(
            input_ids=torch.from_numpy(ids).to(device)[None],
            position_ids=torch.from_numpy(positions).to(device)[None],
            use_cache=False,
            logits_to_keep=torch.from_numpy(rows).to(device),
        ).logits[0]
    layout.commit()
    return logits


def random_ids(vocabulary: int, length: int, seed: int) -> TokenIds:
    """Return seeded token ids, away from the special ones that vocabularies begin with."""
    low = min(200, vocabulary // 4)
    return np.random.default_rng(seed).integers(low, vocabulary, length)


def worst_error(model: Any, shape: MemoryShape, plain: str, *, longest: int | None = None, steps: int = 8) -> float:
    """Return the largest of the sequences' RMS errors over the standard deviation of the reference.

    ``plain`` names the attention that answers for the reference; the model is left with the attention over slots. No
    sequence of the check exceeds ``longest`` tokens.
    """
    texts, lengths = _texts(model, longest, steps)
    references = _plainly(model, plain, texts, lengths)
    model.set_attn_implementation(attention.NAME)
    return _worst(teacher_forced(model, shape, texts, lengths), references)


def own_noise(model: Any, plain: str, *, longest: int | None = None, steps: int = 8) -> float:
    """Return how far rounding alone moves the answers of plain forwards, in the units of ``worst_error``.

    The same texts are computed once more with token vectors that are off by what their format rounds, and with the
    family's other attention where ``plain`` is not it; both are as right as the reference. What is small at first is
    as large as the linears of the format make it: a number that lies between two steps takes the one or the other. The
    model is left with the attention over slots.
    """
    texts, lengths = _texts(model, longest, steps)
    references = _plainly(model, plain, texts, lengths)
    generator = torch.Generator().manual_seed(0)

    def nudge(_module: Any, _args: Any, vectors: torch.Tensor) -> torch.Tensor:
        # A quarter of the distance of two neighbours is the deviation of a rounding, near enough.
        off = torch.randn(vectors.shape, generator=generator).to(vectors.device) * torch.finfo(vectors.dtype).eps / 4
        return (vectors.float() * (1 + off)).to(vectors.dtype)

    hook = model.get_input_embeddings().register_forward_hook(nudge)
    try:
        noise = _worst(_plainly(model, plain, texts, lengths), references)
    finally:
        hook.remove()
    if plain != "eager":
        noise = max(noise, _worst(_plainly(model, "eager", texts, lengths), references))
    model.set_attn_implementation(attention.NAME)
    return noise


def _texts(model: Any, longest: int | None, steps: int) -> tuple[list[TokenIds], tuple[int, ...]]:
    """Return the texts of the check and the lengths of their prompts."""
    lengths = tuple(max(1, min(n, longest - steps) if longest is not None else n) for n in LENGTHS)
    vocabulary = int(model.get_input_embeddings().weight.shape[0])
    return [random_ids(vocabulary, n + steps, seed) for seed, n in enumerate(lengths)], lengths


def _plainly(model: Any, plain: str, texts: Sequence[TokenIds], lengths: Sequence[int]) -> list[torch.Tensor]:
    """Return what ``teacher_forced`` does, by plain forwards with the attention of that name."""
    device = model.get_input_embeddings().weight.device
    model.set_attn_implementation(plain)
    return [
        model(input_ids=torch.from_numpy(text).to(device)[None], use_cache=False).logits[0, n - 1 :].float()
        for text, n in zip(texts, lengths, strict=True)
    ]


def _worst(made: Sequence[torch.Tensor], references: Sequence[torch.Tensor]) -> float:
    worst = 0.0
    for ours, theirs in zip(made, references, strict=True):
        if ours.shape != theirs.shape or not bool(torch.isfinite(ours).all()):
            return float("inf")
        worst = max(worst, float((ours - theirs).square().mean().sqrt() / theirs.std().clamp_min(1e-9)))
    return worst


def teacher_forced(
    model: Any,
    shape: MemoryShape,
    texts: Sequence[TokenIds],
    lengths: Sequence[int],
    *,
    classes: tuple[int, ...] = CLASSES,
    token_budget: int = CHUNK,
) -> list[torch.Tensor]:
    """Return float32 logits ``[1 + len(text) - length, vocabulary]`` of each text, computed over slots side by side.

    The first ``length`` tokens of a text come as its prompt, in pieces of at most ``token_budget``; what follows is put
    in token by token, whatever the model would have chosen. ``classes`` are the capacities of slots, the last one the
    longest text.
    """
    device = model.get_input_embeddings().weight.device
    budget = len(texts) * (classes[-1] * shape.token_bytes + shape.state_bytes)
    memory = SlotMemory(shape, classes, budget=budget, device=device)
    scheduler = Scheduler(memory, classes, slots=len(texts), budget=budget, token_budget=token_budget)
    waiting = [_Forced(i, n, len(text), tokens=text) for i, (text, n) in enumerate(zip(texts, lengths, strict=True))]
    entries = list(waiting)
    while waiting or len(scheduler):
        if waiting:
            scheduler.add(waiting.pop(0))
        step = scheduler.plan()
        sampled, ids, positions, rows = _rows(step)
        logits = forward(model, Layout(step, memory), ids, positions, rows).float()
        scheduler.commit(step)
        for entry, row in zip(sampled, logits, strict=True):
            entry.logits.append(row)
        scheduler.remove([e for e in sampled if e.done == len(e.tokens)])
    return [torch.stack(entry.logits) for entry in entries]


def _rows(step: Step) -> tuple[list[_Forced], TokenIds, TokenIds, TokenIds]:
    sampled: list[_Forced] = []
    rows: list[int] = []
    ids: list[TokenIds] = []
    positions: list[TokenIds] = []
    at = 0
    for entry, start, stop, last in [
        *((e, e.done, e.done + 1, True) for e in step.decode),
        *((c.entry, c.start, c.stop, c.last) for c in step.chunks),
    ]:
        assert isinstance(entry, _Forced)
        ids.append(entry.tokens[start:stop])
        positions.append(np.arange(start, stop))
        at += stop - start
        if last:
            sampled.append(entry)
            rows.append(at - 1)
    return sampled, np.concatenate(ids), np.concatenate(positions), np.array(rows, np.int64)
