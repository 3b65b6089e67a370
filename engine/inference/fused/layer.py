"""A decoder layer in one piece: what its attention and its MLP return is added where the last product writes it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch

from engine.inference.fused.attention import JoinedAttention, row_turns
from engine.inference.generation.attention import current_layout, in_products, stop_if_cancelled
from engine.inference.generation.layout import Layout
from engine.kernels.fused.mlp import JoinedMlp
from engine.kernels.linears.onto import add_product

_NAMES = frozenset({"input_layernorm", "self_attn", "post_attention_layernorm", "mlp"})
"""What the forward of such a layer looks up."""


class JoinedLayer:
    """Stands for the forward of one decoder layer: ``x + attention(norm(x))``, then ``x + mlp(norm(x))``."""

    __slots__ = ("_after", "_before", "_mlp", "attention", "single")

    def __init__(self, plain: Any, attention: JoinedAttention) -> None:
        """Compute what ``plain`` does, whose attention has been joined."""
        self._before, self._after = called(plain.input_layernorm), called(plain.post_attention_layernorm)
        self.attention = attention
        mlp = vars(plain.mlp).get("forward")
        self._mlp = mlp if isinstance(mlp, JoinedMlp) else plain.mlp
        self.single: Any = None
        """What computes the step of one document, a compiled ``SingleLayer``, or None."""

    def __call__(self, hidden_states: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        """Return the layer's output for ``hidden_states`` ``[1, tokens, hidden]``."""
        if self.single is not None:
            layout = current_layout()
            if layout is not None and layout.tokens == 1 and layout.groups:
                made = self._alone(layout, hidden_states, **kwargs)
                if made is not None:
                    return made
        rows, _weights = self.attention.inner(self._before(hidden_states), **kwargs)
        hidden = add_product(self.attention.output, rows, hidden_states)
        rows = self._after(hidden)
        if isinstance(self._mlp, JoinedMlp):
            return add_product(self._mlp.output, self._mlp.inner(rows), hidden)
        return hidden + self._mlp(rows)

    def _alone(
        self,
        layout: Layout,
        hidden: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        attention_mask: torch.Tensor | None = None,
        past_key_values: Any = None,
        **_kwargs: Any,
    ) -> torch.Tensor | None:
        """Return the layer's output for the one row of a step; None where that is not the faster way."""
        if attention_mask is not None or past_key_values is not None:
            return None
        stop_if_cancelled()
        attention = self.attention
        keys, values = layout.memory.layer(layout.groups[0].length_class, attention.index)
        cos, sin = position_embeddings
        key = attention.window, keys.shape, id(sin)
        if layout.alone is None or layout.alone[0] != key:  # the same for all layers that look equally far
            layout.alone = key, self.places(layout, cos, sin, keys)
        places = layout.alone[1]
        if places is None:
            return None
        row = self.single(hidden[0], keys, values, *places)
        return row.unsqueeze(0)

    def places(
        self, layout: Layout, cos: torch.Tensor, sin: torch.Tensor, keys: torch.Tensor
    ) -> tuple[Any, ...] | None:
        """Return what ``SingleLayer`` takes behind keys and values; None where plain products attend faster."""
        group, (heads, _, dim) = layout.groups[0], self.attention.heads
        window = self.attention.window
        if in_products(group, window, heads, keys) is not None:
            return None
        view = group.view(window, keys.shape[2], keys.dtype)
        return *row_turns(cos, sin, dim), group.low, group.longest - 1, view.first, view.last, view.mask


def called(module: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what a call of ``module`` runs, without looking for hooks at every call where it has none."""
    watched = module._forward_hooks or module._forward_pre_hooks  # noqa: SLF001
    return module if watched else module.forward


def may_be_joined(module: Any) -> bool:
    """Tell whether a module has the parts and the code of a layer that is known here."""
    if not all(isinstance(getattr(module, name, None), torch.nn.Module) for name in _NAMES):
        return False
    if "forward" in vars(module):
        return False
    # transformers wraps the forward of every layer for training; what it wraps is what runs here.
    code = getattr(inspect.unwrap(type(module).forward), "__code__", None)
    return code is not None and set(code.co_names) == _NAMES


def joined(module: Any) -> JoinedLayer | None:
    """Return what may stand for the forward of ``module``, or None."""
    attention = vars(module.self_attn).get("forward")
    return JoinedLayer(module, attention) if isinstance(attention, JoinedAttention) else None
