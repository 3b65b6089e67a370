"""Short convolutions (lfm2) over a row of many sequences: each slot keeps the last inputs of its own sequence.

Without a cache transformers' module runs its convolution over the whole packed row, across the documents. Its forward is
replaced, once at load, by one that takes the layout of the worker's thread; outside a worker it is the module's own.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import conv1d

from engine.inference.generation.attention import current_layout
from engine.inference.generation.slots import StateShape

if TYPE_CHECKING:
    from engine.inference.generation.layout import Layout

KNOWN = frozenset({"Lfm2ShortConv", "Lfm2MoeShortConv"})
"""Modules of transformers whose forward is replaced."""


def short_convolutions(model: torch.nn.Module) -> dict[int, torch.nn.Module]:
    """Return the model's known short convolutions by ``layer_idx``."""
    return {int(m.layer_idx): m for m in model.modules() if type(m).__name__ in KNOWN}  # pyright: ignore[reportArgumentType]


def state_shapes(model: torch.nn.Module) -> dict[int, StateShape]:
    """Return what each short convolution keeps of a sequence: one input less than its kernel is wide."""
    shapes: dict[int, StateShape] = {}
    for layer, module in short_convolutions(model).items():
        conv: Any = module.conv
        shapes[layer] = StateShape(conv.in_channels, conv.kernel_size[0] - 1, conv.weight.dtype)
    return shapes


def keep_states(model: torch.nn.Module) -> None:
    """Replace the forward of the model's short convolutions; doing it twice changes nothing."""
    for module in short_convolutions(model).values():
        if "forward" not in vars(module):
            module.forward = types.MethodType(_forward, module)


def restore(model: torch.nn.Module) -> None:
    """Give the short convolutions their own forward back."""
    for module in short_convolutions(model).values():
        vars(module).pop("forward", None)


def _forward(self: Any, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    layout = current_layout()
    if layout is None:
        return type(self).forward(self, hidden_states, *args, **kwargs)
    before, after, signal = self.in_proj(hidden_states).chunk(3, dim=-1)
    return self.out_proj(after * _convolve(self, (before * signal)[0], layout).unsqueeze(0))


def _convolve(module: Any, rows: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Return the causal convolution of each sequence in ``rows`` ``[tokens, channels]`` with its own past."""
    weight, bias = module.conv.weight, module.conv.bias  # [channels, 1, width], [channels] or None
    width = weight.shape[-1]
    result = torch.empty_like(rows)
    for group in layout.groups:
        state = layout.memory.state(group.length_class, module.layer_idx)
        inputs = torch.cat([state[group.slots], rows[group.start : group.stop].unsqueeze(-1)], -1)
        result[group.start : group.stop] = conv1d(inputs, weight, bias, groups=inputs.shape[1])[:, :, 0]
        layout.later(_write(state, group.slots, inputs[:, :, 1:]))
    for chunk in layout.chunks:
        state = layout.memory.state(chunk.length_class, module.layer_idx)
        inputs = torch.cat([state[chunk.slot], rows[chunk.start : chunk.stop].t()], -1).unsqueeze(0)
        result[chunk.start : chunk.stop] = conv1d(inputs, weight, bias, groups=inputs.shape[1])[0].t()
        layout.later(_write(state, chunk.slot, inputs[0, :, 1 - width :]))
    return result


def _write(state: torch.Tensor, slots: torch.Tensor | int, values: torch.Tensor) -> Any:
    def write() -> None:
        state[slots] = values

    return write
