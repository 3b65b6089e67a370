"""What a number format costs in quality: the distributions of the next token against float32's, on real English.

They are computed as documents are: over slots, texts side by side, a token at a time behind a prompt that comes in one
piece; through plain forwards only where the model runs in batches, which is said.

Reported are the Kullback-Leibler divergence in nats a token, mean and 99th percentile (0 is the same distribution), and
how often the likeliest token is the same.
"""

from __future__ import annotations

import gc
import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.bench.english import paragraphs
from engine.errors import ModelError
from engine.models.folder import require
from engine.telemetry import machine

if TYPE_CHECKING:
    import torch

    from engine.models.load_decoder import LoadedDecoder

FORMATS = ("bf16", "int8", "int4")
"""Formats that are compared with float32."""

TEXTS, TOKENS, SKIP = 32, 96, 32
"""Texts that are read, tokens of each, and its first ones that are not asked about: too little is known by then."""

TOGETHER = 8
"""Texts that run side by side."""


@dataclass(frozen=True, slots=True)
class Quality:
    """One format: ``kl`` and ``kl_p99`` in nats a token, ``same`` the share of tokens where the likeliest one agrees.

    ``mode`` is how the model ran in it (``slots`` or ``batches``).
    """

    format: str
    kl: float
    kl_p99: float
    same: float
    tokens: int
    mode: str


def measure(
    folder: str,
    told: Callable[[str], None] = lambda _what: None,
    *,
    formats: Sequence[str] = FORMATS,
    count: int = TEXTS,
) -> list[Quality]:
    """Return the quality of each of ``formats`` of the text generator in ``folder``; ``told`` hears what is going on.

    ``count`` texts are read, ``TOKENS - SKIP`` tokens of each compared. Models are in memory one at a time. Raises ModelError for a folder that holds no decoder, or that does not fit.
    """
    facts = require(folder)
    if not facts.writes:
        raise ModelError(f"{facts.name} writes no text ({facts.kind}); its quality is that of its vectors.")
    reference: list[torch.Tensor] | None = None
    texts: list[np.ndarray] = []
    found: list[Quality] = []
    for name in ("float32", *formats):
        told(name)
        loaded = _load(folder, name)
        if loaded.closed:
            raise ModelError(f"{facts.name} reads with an encoder; only decoders are measured.")
        texts = texts or _texts(loaded, count)
        if reference is None:
            # Half of float32's memory; what it rounds away is less than a millionth of a nat.
            reference = [each.half() for each in _distributions(loaded, texts)]
        else:
            found.append(_compare(name, loaded.mode, reference, _distributions(loaded, texts)))
        del loaded
        gc.collect()
        machine.give_memory_back()
    return found


def _load(folder: str, dtype: str) -> LoadedDecoder:
    from engine.models.load_decoder import load_decoder

    return load_decoder(folder, dtype=dtype)


def _texts(loaded: LoadedDecoder, count: int) -> list[np.ndarray]:
    """Return token ids of English paragraphs, some to a text, each of the same length."""
    length = min(TOKENS, loaded.max_tokens)
    if length <= SKIP:
        raise ModelError(f"{loaded.facts.name} takes {loaded.max_tokens} tokens; {SKIP + 1} are needed to measure it.")
    source = paragraphs()
    texts: list[np.ndarray] = []
    for _ in range(count):
        ids = np.zeros(0, np.int64)
        while len(ids) < length:
            more = list(itertools.islice(source, 3))
            if not more:
                break
            ids = np.concatenate([ids, loaded.tokenizer.prompt_ids(" ".join(more)).astype(np.int64)])
        texts.append(ids[:length])
    return [text for text in texts if len(text) == length]


def _distributions(loaded: LoadedDecoder, texts: list[np.ndarray]) -> Iterator[torch.Tensor]:
    """Yield the log-probabilities of the next token, ``[tokens - SKIP, vocabulary]``, a text at a time."""
    import torch

    from engine.inference.generation.check import teacher_forced

    model, shape = loaded.model, loaded.generation.shape
    with torch.inference_mode():
        if shape is not None:
            for start in range(0, len(texts), TOGETHER):
                part = texts[start : start + TOGETHER]
                size = len(part[0])
                made = teacher_forced(
                    model, shape, part, [SKIP + 1] * len(part), classes=(size,), token_budget=size * TOGETHER
                )
                yield from (torch.log_softmax(logits, -1) for logits in made)
            return
        for text in texts:
            ids = torch.from_numpy(text).to(loaded.device)[None]
            logits = model(input_ids=ids, use_cache=False).logits[0, SKIP:]
            yield torch.log_softmax(logits.float(), -1)


def _compare(name: str, mode: str, reference: list[torch.Tensor], ours: Iterator[torch.Tensor]) -> Quality:
    divergence: list[float] = []
    same = 0
    for theirs, mine in zip(reference, ours, strict=True):
        right = theirs.float()
        # sum p (log p - log q); both are log-probabilities, so what is impossible in both adds nothing.
        parts = right.exp() * (right - mine)
        divergence += parts.nan_to_num(0.0).sum(-1).clamp_min(0.0).tolist()
        same += int((right.argmax(-1) == mine.argmax(-1)).sum())
    count = len(divergence)
    return Quality(
        name,
        float(f"{math.fsum(divergence) / count:.4g}"),
        float(f"{np.percentile(divergence, 99):.4g}"),
        round(same / count, 4),
        count,
        mode,
    )


def report(folder: str, found: list[Quality], *, as_json: bool) -> str:
    """Return the figures as JSON or as a table."""
    if as_json:
        told: dict[str, Any] = {"folder": folder, "against": "float32", "formats": [asdict(one) for one in found]}
        return json.dumps(told | {"instruction_set": machine.instruction_set()}, indent=2)
    lines = [
        f"next-token distributions against float32, {found[0].tokens} tokens of English",
        "",
        "format   KL mean   KL p99    same likeliest token   runs in",
    ]
    lines += [f"{one.format:<8} {one.kl:<9.3g} {one.kl_p99:<9.3g} {one.same:<22.1%} {one.mode}" for one in found]
    return "\n".join(lines)
