"""What a model hands to its attention function: written down at load, so that a joined module can be held against it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from engine.kernels.fused.same import same

_NAME = "heddle_recorder"
"""The name under which transformers finds the attention function that writes down what it is called with."""

_TOKENS = 24


@dataclass(slots=True)
class Call:
    """What an attention function was handed: query, key, value ``[1, heads, tokens, dim]``, and the rest by name."""

    tensors: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    mask: torch.Tensor | None
    rest: dict[str, Any]

    def agrees(self, other: Call) -> bool:
        """Tell whether the other call asks for the same."""
        if self.mask is not other.mask or self.rest.keys() != other.rest.keys():
            return False
        if any(self.rest[name] is not other.rest[name] and self.rest[name] != other.rest[name] for name in self.rest):
            return False
        return all(same(ours, theirs) for ours, theirs in zip(self.tensors, other.tensors, strict=True))


@dataclass(slots=True)
class Inputs:
    """What a module was called with in a forward, call by call."""

    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)


class _Heard(threading.local):
    """The last call on this thread."""

    call: Call | None = None


_heard = _Heard()


def _listen(
    _module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """Write down the call, and answer with the values: it is what comes and goes that matters, not the attention."""
    _heard.call = Call((query, key, value), attention_mask, rest)
    return value.repeat_interleave(query.shape[1] // value.shape[1], 1).transpose(1, 2).contiguous(), None


@contextmanager
def recording(model: Any) -> Iterator[None]:
    """Let ``model`` call the attention function that listens; afterwards it has its own again."""
    from transformers import AttentionInterface

    AttentionInterface.register(_NAME, _listen)
    before = model.config._attn_implementation  # noqa: SLF001 - transformers has no public name for it
    model.set_attn_implementation(_NAME)
    try:
        yield
    finally:
        _heard.call = None
        model.set_attn_implementation(before)


def ask(forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[torch.Tensor, Call | None]:
    """Return the first result of ``forward`` and what it handed to the attention function, None if nothing."""
    _heard.call = None
    out = forward(*args, **kwargs)
    return (out[0] if isinstance(out, tuple) else out), _heard.call


def inputs_of(model: Any, modules: list[torch.nn.Module]) -> dict[int, Inputs]:
    """Return, by ``id``, what each of the modules is called with in one forward of ``model`` over random tokens."""
    inputs = {id(module): Inputs() for module in modules}

    def hear(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        inputs[id(module)].calls.append((args, kwargs))

    hooks = [module.register_forward_pre_hook(hear, with_kwargs=True) for module in modules]
    try:
        vocabulary = int(model.get_input_embeddings().weight.shape[0])
        ids = np.random.default_rng(5).integers(0, vocabulary, _TOKENS)
        model(input_ids=torch.from_numpy(ids)[None], use_cache=False, logits_to_keep=1)
    finally:
        for hook in hooks:
            hook.remove()
    return inputs


def first_token(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the same call for its first token alone: the step of one document, which is mostly dispatch."""

    def short(given: Any) -> Any:
        if isinstance(given, tuple):
            return tuple(short(one) for one in given)
        return given[:, :1] if isinstance(given, torch.Tensor) and given.dim() > 1 else given

    return tuple(short(given) for given in args), {name: short(given) for name, given in kwargs.items()}
