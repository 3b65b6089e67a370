"""Query, key and value of an attention in one product, and turned by their positions together.

Three products become one, and the fourteen small operations of two rotations become three.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import torch

from engine.inference.generation.attention import current_layout, slots_attention
from engine.kernels.linears.stacked import stack

_NAMES = frozenset({
    "shape", "head_dim", "q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm", "view", "transpose",
    "reshape", "contiguous",
    "apply_rotary_pos_emb", "use_rope", "update", "layer_idx", "scaling", "sliding_window",
    "attn_logit_softcapping", "sinks",
    "ALL_ATTENTION_FUNCTIONS", "get_interface", "config", "_attn_implementation", "eager_attention_forward",
    "getattr",
    "training", "attention_dropout", "residual_dropout", "nn", "functional", "dropout",
})  # fmt: skip
"""What the forward of such an attention looks up: nothing here depends on the length or the place of a text."""


class _Turns(threading.local):
    """Cosines and signed sines of this worker's row, ``[1, tokens, 1, dim]``: all layers of a forward get the same ones."""

    source: torch.Tensor | None = None
    cos: torch.Tensor | None = None
    sin: torch.Tensor | None = None
    row: tuple[torch.Tensor, torch.Tensor] | None = None


_turns = _Turns()


def _turn(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate ``heads`` ``[1, tokens, heads, dim]`` by ``cos`` and ``sin`` ``[1, tokens, dim]`` (Su et al. 2021).

    The halves of a head are its pairs, as transformers keeps them: with its halves exchanged, and the sines of the first
    half negative, what is left is a product and a sum. ``cos`` and ``sin`` may come once for both halves.
    """
    cos, sin = _signed(cos, sin, heads.shape[-1])
    return (heads * cos).addcmul_(heads.roll(heads.shape[-1] // 2, -1), sin)


def _signed(cos: torch.Tensor, sin: torch.Tensor, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosines and signed sines ``[1, tokens, 1, dim]``."""
    if _turns.source is not sin or _turns.cos is None or _turns.sin is None:
        half = dim // 2
        once = sin.shape[-1] == half
        _turns.cos = (torch.cat((cos, cos), -1) if once else cos).unsqueeze(2)
        _turns.sin = torch.cat((-sin[..., :half], sin if once else sin[..., half:]), -1).unsqueeze(2)
        _turns.source, _turns.row = sin, None
    return _turns.cos, _turns.sin


def row_turns(cos: torch.Tensor, sin: torch.Tensor, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosines and signed sines of a forward of one token, ``[1, dim]``."""
    if _turns.source is not sin or _turns.row is None:
        cosines, sines = _signed(cos, sin, dim)
        _turns.row = cosines.view(1, dim), sines.view(1, dim)
    return _turns.row


class JoinedAttention:
    """Stands for the forward of one attention module, whose three linears it has in one."""

    __slots__ = ("_counts", "_eager", "_given", "_plain", "_rotating", "_shape", "norms", "output", "still", "whole")

    def __init__(self, plain: Any, whole: torch.nn.Module, eager: Callable[..., Any], given: dict[str, Any]) -> None:
        """Compute what ``plain`` does, with ``whole`` for its three linears.

        ``eager`` is its family's own attention function, ``given`` what the module adds to every call of one.
        """
        dim = plain.head_dim
        heads, kv_heads = plain.q_proj.out_features // dim, plain.k_proj.out_features // dim
        self._plain, self._eager, self._given = plain, eager, given
        self._counts, self._rotating = (heads, kv_heads), (heads + kv_heads, kv_heads)
        self._shape = heads + 2 * kv_heads, dim
        self.still = not getattr(plain, "use_rope", True)
        """Whether nothing turns by its position."""
        self.norms = (plain.q_norm, plain.k_norm) if hasattr(plain, "q_norm") else None
        """The norms of queries and keys, if any."""
        self.whole = whole
        """Query, key and value in one linear."""
        self.output = plain.o_proj
        """The linear behind the attention."""

    @property
    def heads(self) -> tuple[int, int, int]:
        """Query heads, KV heads, and the dim of each."""
        return *self._counts, self._shape[1]

    @property
    def index(self) -> int:
        """The place of this attention among those of the model."""
        return self._plain.layer_idx

    @property
    def window(self) -> int | None:
        """Tokens that a token sees, itself included; None for all."""
        return self._given.get("sliding_window")

    @property
    def scale(self) -> float:
        """What scores are multiplied by."""
        scaling = self._given.get("scaling")
        return self._shape[1] ** -0.5 if scaling is None else scaling

    @property
    def plain_scores(self) -> bool:
        """Whether nothing but the scale, the window and the softmax comes between scores and weights."""
        return self._given.get("softcap") is None and self._given.get("s_aux") is None

    def __call__(self, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, Any]:
        """Return the attention's output ``[1, tokens, hidden]`` and weights, as the module's own forward does."""
        rows, weights = self.inner(hidden_states, *args, **kwargs)
        return self.output(rows), weights

    def inner(
        self,
        hidden_states: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        attention_mask: torch.Tensor | None = None,
        past_key_values: Any = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, Any]:
        """Return what the last linear is given, ``[1, tokens, heads * dim]``, and the weights."""
        plain = self._plain
        before = hidden_states.shape[:-1]
        every = self.whole.forward(hidden_states).view(*before, *self._shape)
        heads, kv_heads = self._counts
        cos, sin = position_embeddings
        if self.still:
            query, key, value = every.split_with_sizes((heads, kv_heads, kv_heads), 2)
        elif self.norms is None:
            turning, value = every.split_with_sizes(self._rotating, 2)
            query, key = _turn(turning, cos, sin).split_with_sizes(self._counts, 2)
        else:
            query, key, value = every.split_with_sizes((heads, kv_heads, kv_heads), 2)
            query, key = _turn(self.norms[0](query), cos, sin), _turn(self.norms[1](key), cos, sin)
        query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        if past_key_values is None and attention_mask is None and current_layout() is not None:
            # The workers' way: what else the model hands on does not change the result, or the gates would have said so.
            out, weights = slots_attention(plain, query, key, value, None, **self._given)
        else:
            from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

            if past_key_values is not None:
                key, value = past_key_values.update(key, value, plain.layer_idx)
            attend = ALL_ATTENTION_FUNCTIONS.get_interface(plain.config._attn_implementation, self._eager)  # noqa: SLF001
            out, weights = attend(plain, query, key, value, attention_mask, **self._given, **kwargs)
        return out.reshape(*before, -1), weights


def may_be_joined(module: Any) -> bool:
    """Tell whether a module has the parts and the code of an attention that is known here."""
    parts = [getattr(module, f"{name}_proj", None) for name in "qkvo"]
    if not all(isinstance(part, torch.nn.Module) for part in parts) or "forward" in vars(module):
        return False
    dim = getattr(module, "head_dim", None)
    code = getattr(type(module).forward, "__code__", None)
    if not isinstance(dim, int) or dim < 2 or dim % 2 or code is None or not _NAMES.issuperset(code.co_names):
        return False
    if any(getattr(part, "out_features", 1) % dim for part in parts[:3]):
        return False
    normed = [hasattr(module, name) for name in ("q_norm", "k_norm")]
    if normed[0] != normed[1] or (normed[0] and not getattr(module, "use_rope", True)):
        return False
    return _eager(module) is not None


def _eager(module: Any) -> Callable[..., Any] | None:
    return getattr(sys.modules[type(module).__module__], "eager_attention_forward", None)


def joined(module: Any, rest: dict[str, Any], kwargs: dict[str, Any]) -> JoinedAttention | None:
    """Return what may stand for the forward of ``module``, or None.

    ``rest`` is what the module handed to its attention function by name when it was called with ``kwargs``.
    """
    whole = stack([module.q_proj, module.k_proj, module.v_proj])
    eager, added = _eager(module), _added(module, rest, kwargs)
    if whole is None or eager is None or added is None:
        return None
    return JoinedAttention(module, whole, eager, added)


def _added(module: torch.nn.Module, rest: dict[str, Any], kwargs: dict[str, Any]) -> dict[str, Any] | None:
    """Return what the module itself adds to the keyword arguments that it was called with; None if not constants."""
    own = {id(parameter) for parameter in module.parameters(recurse=False)}
    added = {name: given for name, given in rest.items() if name not in kwargs or kwargs[name] is not given}
    constant = all(given is None or isinstance(given, (int, float)) or id(given) in own for given in added.values())
    return added if constant else None
