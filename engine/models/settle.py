"""Settling on how a loaded model runs: flags are not proof, so every mode is checked against the plain forward.

The check runs a handful of random texts, each alone, through the model as transformers made it, and compares the
token vectors with those of the packed (or padded) batch. A family that mixes texts, counts positions in its own way
or asks its attention for more than we do, is found here and runs in a slower mode, with a note for the user.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from engine.inference.encoding import attention
from engine.inference.encoding.encoder import forward_accepts, packed_forward, padded_forward
from engine.kernels.linears.format import LinearFormat, replace_linears, restore_linears
from engine.kernels.linears.packed import best_time, in_turns
from engine.kernels.linears.used_weights import used_weights
from engine.models.probe_texts import probe_lengths, probe_texts
from engine.telemetry import machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.models.load import LoadedModel

log = logging.getLogger(__name__)

TOLERANCE = {"float32": 1e-3, "bf16": 0.05, "int8": 0.15}
"""Largest RMS difference of token vectors, in units of their standard deviation, that counts as the same answer.

FAMILIES.md measured up to 1.3e-6 (float32) and 0.034 (bfloat16) where a mode is right, at least 0.061 where it is not.
Weights become int8 only when the mode is known; that of int8 is what rounding them may do (MiniLM: 0.03).
"""

_TURNS = 5
"""How often the attention kernels are timed, one after the other."""


def settle(loaded: LoadedModel, progress: Callable[[float], None]) -> None:
    """Choose ``mode``, kernel and linears of ``loaded`` and measure it; raises Cancelled through ``progress``."""
    threads = torch.get_num_threads()
    torch.set_num_threads(machine.core_count())
    try:
        with torch.inference_mode():
            _settle(loaded, progress)
            torch.set_num_threads(1)
            progress(0.9)
            _measure(loaded)
    finally:
        torch.set_num_threads(threads)


def _settle(loaded: LoadedModel, progress: Callable[[float], None]) -> None:
    loaded.token_types = _token_types(loaded)
    window = int(_largest_window(loaded.model.config))
    texts = probe_texts(loaded, probe_lengths(window, loaded.pipeline.max_tokens))
    reference = [padded_forward(loaded, [one])[0].float() for one in texts]
    progress(0.3)
    problem = _try_packed(loaded, texts, reference)
    progress(0.5)
    if problem is None:
        loaded.mode = "packed"
        if loaded.device.type == "cpu":
            loaded.kernel = _best_kernel(loaded)
            progress(0.6)
            _try_packed_linears(loaded, texts, reference)
        return
    attention.watch_layers(loaded.model)
    log.info("%s does not run packed: %s", loaded.facts.name, problem)
    if loaded.device.type == "cpu":
        _try_packed_linears(loaded, texts, reference)
    hidden, layout = padded_forward(loaded, texts)
    if _error(hidden, reference, layout) <= TOLERANCE[loaded.dtype]:
        loaded.mode, loaded.note = "padded", f"runs in padded batches: {problem}"
    else:
        loaded.mode, loaded.note = "single", f"runs one text at a time: {problem}; and a batch changes its answers"


def _token_types(loaded: LoadedModel) -> dict[int, int] | None:
    """Return the types that the model is to be given, as its tokenizer makes them; None for none.

    GPT-2 and its relatives take types too, and add the vector of token 0 where they are given zeros.
    """
    if not forward_accepts(loaded.model, "token_type_ids"):
        return None
    if loaded.tokenizer.types is None and getattr(loaded.model.config, "type_vocab_size", 0):
        return {}  # what the model would take itself, but only for as many tokens as a text may have
    return loaded.tokenizer.types


def _largest_window(config: object) -> int:
    """Return the config's sliding window in tokens (the whole of it), 0 where attention is full everywhere."""
    sizes = [*_said(config, "sliding_window"), *_said(config, "local_attention")]
    return max((size for size in sizes if 0 < size < 100_000), default=0)


def _said(config: Any, name: str) -> list[int]:
    """Return the whole numbers that a config says under ``name``: several where its layers differ, or none."""
    try:
        found = [getattr(config, name, None)]
    except RuntimeError:  # transformers refuses to name one for all layers
        found = [getattr(layer, name, None) for layer in config.per_layer_config]
    return [value for value in found if isinstance(value, int)]


def _error(hidden: torch.Tensor, reference: list[torch.Tensor], layout: attention.Layout) -> float:
    """Return the largest of the texts' RMS differences, in units of the reference's standard deviation."""
    worst = 0.0
    parts = torch.split(hidden.float(), layout.lengths)
    for ours, theirs in zip(parts, reference, strict=True):
        if ours.shape != theirs.shape or not bool(torch.isfinite(ours).all()):
            return float("inf")
        worst = max(worst, float((ours - theirs).square().mean().sqrt() / theirs.std().clamp_min(1e-9)))
    return worst


def _try_packed(loaded: LoadedModel, texts: list[np.ndarray], reference: list[torch.Tensor]) -> str | None:
    """Switch the model to packed attention and compare; returns None, or why not, with the model switched back."""
    model = loaded.model
    if not forward_accepts(model, "position_ids"):
        return "the family places its tokens by itself"
    can_set = getattr(model, "_can_set_attn_implementation", None)
    if can_set is not None and not can_set():
        return "the family has an attention of its own"
    attention.register()
    before = model.config._attn_implementation  # noqa: SLF001 - transformers has no public name for it
    try:
        model.set_attn_implementation(attention.NAME)
        if model.config._attn_implementation != attention.NAME:  # noqa: SLF001
            return "the family does not take another attention"
        loaded.kernel = attention.sdpa_kernel
        worst = float("inf")
        padding = getattr(model.config, "pad_token_id", None)
        for offset in {0, (padding if isinstance(padding, int) else loaded.tokenizer.pad_id) + 1}:
            # RoBERTa's relatives count positions from the padding id plus one.
            loaded.position_offset = offset
            try:
                hidden, layout = packed_forward(loaded, texts)
            except IndexError:
                continue  # positions beyond the table: not this offset
            error = _error(hidden, reference, layout)
            worst = min(worst, error)
            if error <= TOLERANCE[machine.number_dtype(loaded.dtype)]:
                log.info("packed attention checked: error %.2g, position offset %d", error, offset)
                return None
        problem = f"packed texts differ from single ones by {worst:.2g} standard deviations"
    except attention.UnsupportedAttentionError as error:
        problem = str(error)
    except (RuntimeError, TypeError, ValueError, AttributeError, KeyError) as error:
        problem = f"packed attention failed ({type(error).__name__}: {error})".splitlines()[0]
    loaded.position_offset = 0
    loaded.kernel = None
    model.set_attn_implementation(before)
    return problem


def _try_packed_linears(loaded: LoadedModel, texts: list[np.ndarray], reference: list[torch.Tensor]) -> None:
    made = LinearFormat("int8" if loaded.dtype == "int8" else "bf16", weights=loaded.facts.bytes)
    with torch.inference_mode(False), torch.no_grad():
        loaded.packed_linears = replace_linears(loaded.model, made)
    if not loaded.packed_linears:
        return
    forward = packed_forward if loaded.mode == "packed" else padded_forward
    used = used_weights(loaded.model, lambda: forward(loaded, texts))
    restore_linears(loaded.model, used)
    loaded.packed_linears -= len(used)
    hidden, layout = forward(loaded, texts)
    error = _error(hidden, reference, layout)
    log.info("%d linears packed, error %.2g", loaded.packed_linears, error)
    if not error <= TOLERANCE[loaded.dtype] and loaded.mode == "packed":
        loaded.note = (
            f"{'int8' if loaded.dtype == 'int8' else 'packed'} linears differ by {error:.2g} standard deviations"
        )
        log.warning("%s: %s", loaded.facts.name, loaded.note)


def _best_kernel(loaded: LoadedModel) -> attention.Kernel:
    """Time the attention kernels on texts of ordinary lengths and return the quickest."""
    config = loaded.model.config
    heads, hidden = (max(_said(config, name), default=0) for name in ("num_attention_heads", "hidden_size"))
    if heads < 1 or hidden < heads:
        return attention.sdpa_kernel
    width = max(_said(config, "head_dim"), default=0) or hidden // heads
    lengths = sorted(
        (min(n, loaded.pipeline.max_tokens) for n in (120, 90, 61, 57, 49, 44, 37, 30, 24, 17)), reverse=True
    )
    layout = attention.Layout(lengths)
    dtype = next(loaded.model.parameters()).dtype
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randn(sum(lengths), heads, width, generator=generator).to(dtype) for _ in range(3)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    choices = [
        attention.sdpa_kernel,
        attention.matmul_kernel(32 if dtype is torch.bfloat16 else 16),
        attention.exponential_kernel(16),
    ]
    times = in_turns([lambda kernel=kernel: kernel(*rows, width**-0.5, layout) for kernel in choices], _TURNS)
    torch.set_num_threads(threads)
    log.info("attention kernels: fused %.3g ms, products %.3g ms, exponential %.3g ms", *(t * 1e3 for t in times))
    return choices[int(np.argmin(times))]


def _measure(loaded: LoadedModel) -> None:
    """Fill in ``overhead`` and ``token_time`` from two short runs on one thread."""
    forward = packed_forward if loaded.mode == "packed" else padded_forward
    tiny = probe_texts(loaded, [3])
    loaded.overhead = best_time(lambda: forward(loaded, tiny), 3)
    lengths = [min(64, loaded.pipeline.max_tokens)] * 4
    texts = probe_texts(loaded, lengths)
    total = best_time(lambda: forward(loaded, texts), 2)
    loaded.token_time = max(1e-9, total - loaded.overhead) / sum(lengths)
