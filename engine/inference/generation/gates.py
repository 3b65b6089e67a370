"""The gates at load: does this model run over slots? Flags are not proof, so it is tried and its logits are compared.

A model that fails a gate runs through ``generate()`` in batches instead, and the mode says why, for the user to see.
"""

from __future__ import annotations

import inspect
import logging
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import torch

from engine.inference.encoding.attention import watch_layers
from engine.inference.generation import attention, convolution
from engine.inference.generation.attention import UnsupportedAttentionError
from engine.inference.generation.check import (
    MOST_NOISE,
    NOISE,
    TOLERANCE,
    TOLERANCE_AFTER_TWIN,
    own_noise,
    random_ids,
    worst_error,
)
from engine.inference.generation.slots import LayerShape, MemoryShape
from engine.inference.generation.twin import make_twin

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mode:
    """How a model generates. ``reason`` says why it does not run over slots, empty where it does.

    ``slots``: ``shape`` is what a token and a sequence take in memory, and ``max_tokens`` a length that the workers must
    not exceed (None: no such limit; the model's window is another matter). ``batches``: through ``generate()``, at most
    ``batch`` sequences at once (1 where neighbours change the answer; None where they do not); ``alone``, where given,
    is held during a call, because the model keeps state between forwards.
    """

    kind: Literal["slots", "batches"]
    reason: str = ""
    shape: MemoryShape | None = None
    max_tokens: int | None = None
    batch: int | None = None
    alone: threading.Lock | None = None


class _NotOverSlotsError(Exception):
    """A gate that the model does not pass."""


@torch.inference_mode()
def choose_mode(model: Any, *, longest: int | None = None, rounded: bool = False) -> Mode:
    """Return how ``model`` generates, and leave it with the attention for that; called once at load, before any worker.

    ``longest`` is the most tokens, prompt and new ones, that a sequence may come to (None: not known yet). Where the
    family is right only up to some length, a longer one sends the model to the batches. ``rounded``: its linears round
    their input to a few bits, so that a difference in the last digit may come out as one of a step.
    """
    before = model.config._attn_implementation  # noqa: SLF001 - transformers has no public name for it
    if before == attention.NAME:  # asked again, for another length
        before = "sdpa" if model._supports_sdpa else "eager"  # noqa: SLF001
    try:
        return _over_slots(model, before, longest, rounded=rounded)
    except (_NotOverSlotsError, UnsupportedAttentionError) as error:
        reason = str(error)
    except (RuntimeError, TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
        reason = f"the attention over slots failed ({type(error).__name__}: {error})".splitlines()[0]
    log.warning("%s does not run over slots: %s", type(model).__name__, reason)
    convolution.restore(model)
    if model.config._attn_implementation != before:  # noqa: SLF001
        model.set_attn_implementation(before)
    watch_layers(model)
    return _in_batches(model, reason)


def _over_slots(model: Any, plain: str, longest: int | None, *, rounded: bool) -> Mode:
    config = model.config
    if config.is_encoder_decoder:
        raise _NotOverSlotsError("the family reads with an encoder and writes with a decoder")
    _accepts(model)
    _takes_our_attention(model)
    windows = cache_windows(model)
    limit = rope_limit(model)
    if limit is not None and longest is not None and longest > limit:
        raise _NotOverSlotsError(
            f"its positions change their meaning beyond {limit:,} tokens, and texts of {longest:,} are wanted"
        )
    convolution.keep_states(model)
    shape = first_step(model, windows)
    twin = make_twin(model)
    dtype = torch.bfloat16 if rounded else next(model.parameters()).dtype
    tolerance = TOLERANCE.get(dtype, 1e-3)
    if twin is not None:
        _check_twin(twin)
        tolerance = TOLERANCE_AFTER_TWIN.get(dtype, tolerance)
    _check(model, shape, plain, "the model", 2, tolerance, rounded=dtype is not torch.float32)
    known = [n for n in (limit, table_limit(model)) if n is not None]
    return Mode("slots", shape=shape, max_tokens=min(known, default=None))


def _check_twin(twin: Any) -> None:
    convolution.keep_states(twin)
    twin.set_attn_implementation(attention.NAME)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # nothing in it is large enough to share out
    try:
        shape = first_step(twin, cache_windows(twin))
        _check(twin, shape, "eager", "a tiny twin of the model", 8, TOLERANCE[torch.float32])
    finally:
        torch.set_num_threads(threads)


def _check(
    model: Any, shape: MemoryShape, plain: str, what: str, steps: int, tolerance: float, *, rounded: bool = False
) -> None:
    error = worst_error(model, shape, plain, steps=steps, longest=_longest(model))
    log.info("generation over slots checked on %s: error %.2g", what, error)
    if error <= tolerance:
        return
    problem = f"packed, {what} differs from plain forwards by {error:.2g} standard deviations"
    if rounded:
        noise = own_noise(model, plain, steps=steps, longest=_longest(model))
        log.info("its own rounding moves %s by %.2g", what, noise)
        if error <= min(MOST_NOISE, NOISE * noise):
            return
        problem += f", and its own rounding moves it by {noise:.2g}"
    raise _NotOverSlotsError(problem)


def _longest(model: Any) -> int | None:
    """Return the tokens that the check must stay within: positions that mean the same for all, and that exist."""
    known = [rope_limit(model), getattr(model.config, "max_position_embeddings", None)]
    return min((n for n in known if isinstance(n, int)), default=None)


def _accepts(model: Any) -> None:
    known = inspect.signature(model.forward).parameters
    for wanted in ("position_ids", "logits_to_keep"):
        if wanted not in known:
            raise _NotOverSlotsError(f"the family takes no {wanted}")


def _takes_our_attention(model: Any) -> None:
    if not model._can_set_attn_implementation():  # noqa: SLF001 - FAMILIES.md, gate a
        raise _NotOverSlotsError("the family has an attention of its own")
    attention.register()
    model.set_attn_implementation(attention.NAME)
    if model.config._attn_implementation != attention.NAME:  # noqa: SLF001
        raise _NotOverSlotsError("the family does not take another attention")


def cache_windows(model: Any) -> dict[int, int | None]:
    """Return the sliding window of every layer that must call its attention, None where it is full (gate b)."""
    from transformers.cache_utils import (
        DummyLayer,
        DynamicCache,
        DynamicLayer,
        DynamicSlidingWindowLayer,
        LinearAttentionLayer,
    )

    known = convolution.short_convolutions(model)
    windows: dict[int, int | None] = {}
    for index, layer in enumerate(DynamicCache(config=model.config).layers):
        kind = type(layer)
        if kind is LinearAttentionLayer and index in known:
            continue
        if kind is DynamicSlidingWindowLayer:
            windows[index] = int(layer.sliding_window)  # pyright: ignore[reportAttributeAccessIssue]
        elif kind is DynamicLayer:
            windows[index] = None
        elif kind is not DummyLayer:
            raise _NotOverSlotsError(f"layer {index} remembers more than keys and values ({kind.__name__})")
    return windows


def rope_limit(model: Any) -> int | None:
    """Return the tokens up to which rotary positions mean the same for every row of a batch; None for ever (gate c).

    "longrope" and "dynamic" choose their frequencies by the longest text of the whole forward.
    """
    limits: list[int] = []
    for module in model.modules():
        kinds = getattr(module, "rope_type", None)
        if kinds is None or not hasattr(module, "config"):
            continue
        parameters = getattr(module.config, "rope_parameters", None) or {}
        for layer, kind in kinds.items() if isinstance(kinds, dict) else [(None, kinds)]:
            own = parameters.get(layer, {}) if layer is not None else parameters
            if kind == "longrope":
                limits.append(int(own["original_max_position_embeddings"]))
            elif "dynamic" in str(kind):
                limits.append(int(getattr(module, "original_max_seq_len", 0) or module.config.max_position_embeddings))
    return min(limits, default=None)


def table_limit(model: Any) -> int | None:
    """Return the positions that a family without rotary ones has learned: beyond them there is nothing to look up."""
    if any(hasattr(module, "inv_freq") or hasattr(module, "rope_type") for module in model.modules()):
        return None
    limit = getattr(model.config, "max_position_embeddings", None)
    return limit if isinstance(limit, int) else None


def first_step(model: Any, windows: dict[int, int | None]) -> MemoryShape:
    """Run one short text through the attention, compare what was asked of it with the cache's layers (gate d).

    Returns the heads and dims that each layer's keys and values really have.
    """
    calls: Counter[int] = Counter()
    shapes: dict[int, LayerShape] = {}

    def observe(module: torch.nn.Module, key: torch.Tensor, value: torch.Tensor, window: int | None) -> None:
        index = getattr(module, "layer_idx", None)
        if not isinstance(index, int):
            raise _NotOverSlotsError("its attention layers carry no number")
        calls[index] += 1
        if index in windows and window != windows[index]:
            raise _NotOverSlotsError(
                f"layer {index} keeps {windows[index] or 'all'} tokens and asks its attention for {window or 'all'}"
            )
        if key.shape[:3] != value.shape[:3] or key.dtype != value.dtype:
            raise _NotOverSlotsError(f"layer {index} has keys and values of different heads or formats")
        shapes[index] = LayerShape(key.shape[1], key.shape[3], value.shape[3], key.dtype)

    weight = model.get_input_embeddings().weight
    ids = torch.from_numpy(random_ids(int(weight.shape[0]), 5, 3)).to(weight.device)[None]
    with attention.running(None, observer=observe):
        rows = torch.tensor([1, 4], device=weight.device)
        positions = torch.arange(5, device=weight.device)[None]
        logits = model(input_ids=ids, position_ids=positions, use_cache=False, logits_to_keep=rows).logits
    if missing := sorted(set(windows) - set(calls)):
        raise _NotOverSlotsError(f"layer {missing[0]} never calls its attention")
    if (twice := calls.most_common(1)) and twice[0][1] > 1:
        raise _NotOverSlotsError(f"layer {twice[0][0]} calls its attention {twice[0][1]} times")
    if logits.shape[:2] != (1, 2):
        raise _NotOverSlotsError("the model does not give logits for chosen rows alone")
    return MemoryShape(shapes, convolution.state_shapes(model))


def _in_batches(model: Any, reason: str) -> Mode:
    from engine.inference.generation.fallback import batches_agree

    if rope_limit(model) is not None:
        return Mode("batches", reason, batch=1, alone=threading.Lock())
    return Mode("batches", reason, batch=None if batches_agree(model) else 1)
