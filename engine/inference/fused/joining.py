"""Which attentions, MLPs and layers of a decoder are joined: those that compute the same and take less time.

A decode step of a small model, or of one document alone, is mostly the calling of operations. The families' code is not
known here; what a module does is asked of it. Its forward's names must be those that modules of its kind use, so that
nothing hides in it that only a longer text would show; and then everything that it returns, and hands to its attention
function, must come out the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch

from engine.inference.fused import attention, layer
from engine.inference.fused.body import join_body
from engine.inference.fused.recording import ask, first_token, inputs_of, recording
from engine.inference.fused.single_trial import settle_alone
from engine.kernels.fused import mlp
from engine.kernels.fused.same import same
from engine.kernels.linears.packed import in_turns
from engine.telemetry import machine

log = logging.getLogger(__name__)

_REPEATS = 20

_PROBLEMS = (RuntimeError, TypeError, ValueError, AttributeError, KeyError, IndexError)
"""What a module that is not what it seems may raise."""

_PARTS = (
    (attention.may_be_joined, ("q_proj", "k_proj", "v_proj")),
    (mlp.may_be_joined, ("gate_proj", "up_proj")),
    (layer.may_be_joined, ()),
)
"""The kinds in the order in which they are joined, and the linears that are free to go where they were stacked."""


@torch.inference_mode()
def join(model: Any, *, rounded: bool) -> int:
    """Join what can be joined in ``model``, a decoder on the CPU; returns how many modules got another forward.

    ``rounded``: the linears round what they are given, so results may differ by a step of that.
    """
    if model.config.is_encoder_decoder or not model._can_set_attn_implementation():  # noqa: SLF001
        return 0
    kinds = [[module for module in model.modules() if fits(module)] for fits, _ in _PARTS]
    kinds = [[module for module in modules if not _watched(module)] for modules in kinds]
    if not any(kinds):
        return 0
    changed = 0
    heap = machine.HeapKeeper()
    pays: dict[tuple[Any, ...], bool] = {}
    try:
        with recording(model):
            inputs = inputs_of(model, [module for modules in kinds for module in modules])
            for modules, make, (_, parts) in zip(kinds, (_attention, _mlp, _layer), _PARTS, strict=True):
                for module in modules:
                    calls = inputs[id(module)].calls
                    if len(calls) != 1:  # a module that is run twice, or never, is nothing that is known here
                        continue
                    changed += _join(module, make, parts, *calls[0], pays, rounded=rounded)
                    heap.laid_out(_size(getattr(module, "whole", None)))
    except _PROBLEMS as error:
        log.info("nothing is joined: %s: %s", type(error).__name__, error)
    return changed + join_body(model, rounded=rounded)


def _watched(module: torch.nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)  # noqa: SLF001


def _attention(module: Any, rest: dict[str, Any], kwargs: dict[str, Any]) -> Any:
    return attention.joined(module, rest, kwargs)


def _mlp(module: Any, _rest: dict[str, Any], _kwargs: dict[str, Any]) -> Any:
    return mlp.joined(module)


def _layer(module: Any, _rest: dict[str, Any], _kwargs: dict[str, Any]) -> Any:
    return layer.joined(module)


def _join(
    module: Any,
    make: Callable[[Any, dict[str, Any], dict[str, Any]], Any],
    parts: tuple[str, ...],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    pays: dict[tuple[Any, ...], bool],
    *,
    rounded: bool,
) -> bool:
    """Give ``module`` the forward that ``make`` returns, if it does the same in less time."""
    key = (type(module), *((type(one), getattr(one.weight, "shape", None)) for one in _linears(module)))
    if not pays.get(key, True):
        return False
    expected, meant = ask(module, args, kwargs)
    try:
        ours = make(module, meant.rest if meant is not None else {}, kwargs)
        if ours is None:
            return False
        made, done = ask(ours, args, kwargs)
    except _PROBLEMS as error:
        log.info("%s stays as it is: %s", type(module).__name__, error)
        return False
    if (meant is None) != (done is None) or (meant is not None and done is not None and not done.agrees(meant)):
        return False
    if not same(made, expected, rounded=rounded):
        return False
    if isinstance(ours, layer.JoinedLayer):
        settle_alone(module, ours, args, kwargs, pays, ("alone", *key), rounded=rounded)
    if key not in pays:
        alone, short = first_token(args, kwargs)
        joined, apart = in_turns([lambda: ours(*alone, **short), lambda: module(*alone, **short)], _REPEATS)
        # A layer's way for one row saves more than joining it ever takes.
        pays[key] = joined < apart or getattr(ours, "single", None) is not None
    if not pays[key]:
        return False
    module.forward = ours
    whole = getattr(ours, "whole", None)
    if whole is not None:
        for name in parts:
            delattr(module, name)
        module.whole = whole
    return True


def _size(whole: Any) -> int:
    return 0 if whole is None else whole.in_features * whole.out_features


def _linears(module: torch.nn.Module) -> list[Any]:
    return [one for _, one in sorted(module.named_modules()) if hasattr(one, "in_features")]
