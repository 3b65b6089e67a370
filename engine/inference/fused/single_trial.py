"""Which joined layers get a way of their own for the step of one document: those where it is right, and faster."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from engine.inference.fused.attention import JoinedAttention
from engine.inference.fused.layer import JoinedLayer
from engine.inference.fused.single import SingleLayer, act_of, compiled, norm_of, rows_of
from engine.inference.generation.attention import running
from engine.inference.generation.layout import DecodeGroup
from engine.kernels.fused import mlp
from engine.kernels.fused.mlp import JoinedMlp
from engine.kernels.fused.same import same
from engine.kernels.linears.packed import in_turns

log = logging.getLogger(__name__)

_TURNS = 20

_SLOTS, CAPACITY, _DONE = 3, 48, 20
"""The KV memory of the trial: the row is the token after so many, in the middle one of the slots."""

PROBLEMS = (RuntimeError, TypeError, ValueError, AttributeError, KeyError, IndexError)
"""What a layer that is not what it seems may raise."""


def settle_alone(
    plain: Any,
    joined: JoinedLayer,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    pays: dict[tuple[Any, ...], bool],
    key: tuple[Any, ...],
    *,
    rounded: bool,
) -> None:
    """Give ``joined``, which stands for ``plain``, its way for one row, if that does the same in less time.

    ``args`` and ``kwargs`` are of a call of the layer with some tokens; ``pays`` remembers under ``key`` what was tried.
    ``rounded``: the linears round what they are given.
    """
    if not pays.get(key, True):
        return
    rows, short = _last_token(args, kwargs)
    try:
        made = _made(plain, joined)
        if made is None:
            pays[key] = False
            return
        single = compiled(made)
        if not _right(joined, single, rows, short, rounded=rounded):
            pays[key] = False
            return
        if key not in pays:
            pays[key] = _faster(joined, single, rows, short)
    except PROBLEMS as error:
        log.info("%s has no way of its own for one row: %s", type(plain).__name__, in_a_line(error))
        pays[key] = False
        joined.single = None
    else:
        joined.single = single if pays[key] else None


def in_a_line(error: Exception) -> str:
    """Return what went wrong; TorchScript says it behind a page of where."""
    return f"{type(error).__name__}: {str(error).strip()}".splitlines()[-1]


def _made(plain: Any, joined: JoinedLayer) -> SingleLayer | None:
    """Return the layer for one row, not yet compiled; None where a part of it is not known."""
    attention = joined.attention
    assert isinstance(attention, JoinedAttention)
    inner = _mlp_parts(plain.mlp)
    norms = norm_of(plain.input_layernorm), norm_of(plain.post_attention_layernorm)
    if inner is None or norms[0] is None or norms[1] is None or not attention.plain_scores:
        return None
    rows = rows_of(attention.whole, attention.output, *inner.linears)
    act = "" if inner.act is None else act_of(inner.act, norms[0].weight.dtype)
    if rows is None or act is None:
        return None
    head_norms = None
    if attention.norms is not None:
        one, other = attention.norms
        eps = getattr(one, "variance_epsilon", getattr(one, "eps", None))
        if not isinstance(eps, float):
            return None
        head_norms = one.weight.detach(), other.weight.detach(), eps
    return SingleLayer(
        (norms[0], norms[1]),
        (rows[0], rows[1]),
        attention.heads,
        head_norms,
        attention.scale,
        (rows[2], rows[3], rows[4], rows[5]),
        act,
        still=attention.still,
    )


@dataclass(slots=True)
class _Mlp:
    linears: tuple[Any, Any, Any, Any]
    act: Any


def _mlp_parts(module: Any) -> _Mlp | None:
    """Return the linears of a gated MLP, gate and up in one or in two, and its activation; None for another kind."""
    ours = vars(module).get("forward")
    if isinstance(ours, JoinedMlp):
        return _Mlp(ours.linears, ours.act)
    if not mlp.may_be_joined(module):
        return None
    return _Mlp((None, module.gate_proj, module.up_proj, module.down_proj), module.act_fn)


class AloneMemory:
    """Stands for the KV memory of a worker in a trial: seeded numbers, ``[slots, kv_heads, capacity, dim]`` by layer."""

    def __init__(self, joined: JoinedLayer, dtype: torch.dtype, indices: Sequence[int]) -> None:
        """Keep what layers with these ``indices`` do that are like ``joined``."""
        _, kv_heads, dim = joined.attention.heads
        generator = torch.Generator().manual_seed(0)
        shape = _SLOTS, kv_heads, CAPACITY, dim
        self.device = torch.device("cpu")
        self.tensors = {
            index: (
                torch.randn(shape, generator=generator).to(dtype),
                torch.randn(shape, generator=generator).to(dtype),
            )
            for index in indices
        }

    def layer(self, _length_class: int, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return K and V of a layer."""
        return self.tensors[layer]


class AloneLayout:
    """Stands for the layout of a step of one sequence in a trial."""

    def __init__(self, memory: AloneMemory) -> None:
        """Lay the row out over ``memory``."""
        self.memory = memory
        self.tokens = 1
        self.groups = [DecodeGroup(0, 0, [1], [_DONE], memory.device)]
        self.chunks: list[Any] = []
        self.alone: Any = None


def _right(joined: JoinedLayer, single: Any, rows: torch.Tensor, kwargs: dict[str, Any], *, rounded: bool) -> bool:
    """Tell whether both ways return the same, and leave the same keys and values behind."""
    results: list[tuple[torch.Tensor, ...]] = []
    for way in (None, single, single):  # TorchScript compiles at the first call, and again at the second
        joined.single = way
        memory = AloneMemory(joined, rows.dtype, [joined.attention.index])
        with running(AloneLayout(memory)):  # pyright: ignore[reportArgumentType]
            results.append((joined(rows, **kwargs), *memory.tensors[joined.attention.index]))
    joined.single = None
    pairs = [pair for made in results[1:] for pair in zip(made, results[0], strict=True)]
    return all(same(ours, meant, rounded=rounded) for ours, meant in pairs)


def _faster(joined: JoinedLayer, single: Any, rows: torch.Tensor, kwargs: dict[str, Any]) -> bool:
    layout: Any = AloneLayout(AloneMemory(joined, rows.dtype, [joined.attention.index]))

    def run(way: Any) -> None:
        joined.single = way
        joined(rows, **kwargs)

    with running(layout):
        ours, theirs = in_turns([lambda: run(single), lambda: run(None)], _TURNS)
    joined.single = None
    return ours < theirs


def _last_token(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[torch.Tensor, dict[str, Any]]:
    """Return the same call for its last token alone: the first one is not turned by its position."""

    def short(given: Any) -> Any:
        if isinstance(given, tuple):
            return tuple(short(one) for one in given)
        return given[:, -1:] if isinstance(given, torch.Tensor) and given.dim() > 1 else given

    return short(args[0]), {name: short(given) for name, given in kwargs.items()}
