"""A decoder's body for the step of one document: from the token to the last norm, layer by layer, and nothing between.

The family's own forward makes masks, caches and records for whatever it may be called with, and calls every layer with
all of it. For one row in a worker, when every layer has a way of its own, none of that is needed.
"""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any

import torch

from engine.inference.fused.layer import JoinedLayer, called
from engine.inference.fused.single_trial import CAPACITY, PROBLEMS, AloneLayout, AloneMemory, in_a_line
from engine.inference.generation import attention
from engine.inference.generation.attention import current_layout, running, stop_if_cancelled
from engine.kernels.fused.same import same

if TYPE_CHECKING:
    from engine.inference.generation.layout import Layout

log = logging.getLogger(__name__)

_PARTS = frozenset({"embed_tokens", "layers", "norm", "rotary_emb"})

_NAMES = _PARTS | {
    "BaseModelOutputWithPast", "DynamicCache", "ValueError", "arange", "config", "create_causal_mask",
    "create_sliding_window_causal_mask", "device", "dict", "enumerate", "get_seq_length", "has_sliding_layers",
    "isinstance", "layer_types", "num_hidden_layers", "shape", "sliding_window", "torch", "unsqueeze",
}  # fmt: skip
"""What the forward of such a body looks up: nothing here changes what goes from layer to layer."""


class JoinedBody:
    """Stands for the forward of a decoder's body."""

    __slots__ = ("_embed", "_layers", "_norm", "_plain", "_result", "_rotary")

    def __init__(self, plain: Any, layers: list[JoinedLayer]) -> None:
        """Compute what ``plain`` does, whose ``layers`` all have a way of their own for one row."""
        from transformers.modeling_outputs import BaseModelOutputWithPast

        self._plain = plain.forward
        self._embed, self._norm = called(plain.embed_tokens), called(plain.norm)
        self._rotary: Any = called(plain.rotary_emb)
        self._layers = layers
        self._result: Any = BaseModelOutputWithPast

    def __call__(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: Any = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Return what the body's own forward does."""
        layout = current_layout()
        plain = attention_mask is None and past_key_values is None and kwargs.get("inputs_embeds") is None
        if plain and layout is not None and layout.tokens == 1 and layout.groups:
            hidden = self._alone(layout, input_ids, position_ids)
            if hidden is not None:
                return self._result(last_hidden_state=hidden)
        return self._plain(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            **kwargs,
        )

    def _alone(self, layout: Layout, ids: Any, positions: torch.Tensor | None) -> torch.Tensor | None:
        """Return the hidden row ``[1, 1, hidden]`` of one token; None where plain products attend faster."""
        if positions is None:
            return None
        hidden = self._embed(ids)
        cos, sin = self._rotary(hidden, positions)
        memory, length_class = layout.memory, layout.groups[0].length_class
        first = self._layers[0]
        places = first.places(layout, cos, sin, memory.layer(length_class, first.attention.index)[0])
        if places is None:
            return None
        row = hidden[0]
        for layer in self._layers:
            stop_if_cancelled()
            keys, values = memory.layer(length_class, layer.attention.index)
            row = layer.single(row, keys, values, *places)
        return self._norm(row.unsqueeze(0))


@torch.inference_mode()
def join_body(model: Any, *, rounded: bool) -> bool:
    """Give the body of ``model``, whose layers have been joined, its way for one row, if that does the same."""
    for module in model.modules():
        layers = _layers(module)
        if layers is None:
            continue
        before = model.config._attn_implementation  # noqa: SLF001 - transformers has no public name for it
        try:
            attention.register()
            model.set_attn_implementation(attention.NAME)
            ours = JoinedBody(module, layers)
            if _right(module, ours, layers, rounded=rounded):
                module.forward = ours
                return True
        except PROBLEMS as error:
            log.info("%s stays as it is: %s", type(module).__name__, in_a_line(error))
        finally:
            model.set_attn_implementation(before)
    return False


def _layers(module: Any) -> list[JoinedLayer] | None:
    """Return the layers of a body that is known here, all alike; None for anything else."""
    if not all(isinstance(getattr(module, name, None), torch.nn.Module) for name in _PARTS):
        return None
    code = getattr(inspect.unwrap(type(module).forward), "__code__", None)
    if "forward" in vars(module) or code is None or not _NAMES.issuperset(code.co_names):
        return None
    if module._forward_hooks or module._forward_pre_hooks:  # noqa: SLF001
        return None
    if len(module.layers) != module.config.num_hidden_layers or any(
        layer._forward_hooks or layer._forward_pre_hooks  # noqa: SLF001
        for layer in module.layers
    ):
        return None
    layers = [vars(layer).get("forward") for layer in module.layers]
    if not layers or not all(isinstance(layer, JoinedLayer) and layer.single is not None for layer in layers):
        return None
    alike = {(layer.attention.heads, layer.attention.window) for layer in layers}
    return layers if len(alike) == 1 else None


def _right(plain: Any, ours: JoinedBody, layers: list[JoinedLayer], *, rounded: bool) -> bool:
    """Tell whether both ways return the same for a token, and leave the same keys and values behind."""
    indices = [layer.attention.index for layer in layers]
    dtype = plain.norm.weight.dtype
    results: list[list[torch.Tensor]] = []
    ids, positions = torch.tensor([[7]]), torch.tensor([[CAPACITY // 2]])
    for way in (plain, ours):
        memory = AloneMemory(layers[0], dtype, indices)
        with running(AloneLayout(memory)):  # pyright: ignore[reportArgumentType]
            hidden = way(input_ids=ids, position_ids=positions, use_cache=False).last_hidden_state
        results.append([hidden, *(tensor for pair in memory.tensors.values() for tensor in pair)])
    return all(same(ours, meant, rounded=rounded) for ours, meant in zip(*results, strict=True))
