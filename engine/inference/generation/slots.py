"""The KV memory of a worker: one tensor per length class and layer, right-padded, grown as needed, in one byte budget.

A class grows in slots, and all its slots in width up to its capacity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

Place = tuple[int, int]
"""A length class and the number of a slot in it."""

STEP = 32
"""Slots become wider by a multiple of so many tokens."""

GROWTH = 16
"""Slots become wider by at least this part of what they are, so that long ones are not copied over and over."""


@dataclass(frozen=True, slots=True)
class LayerShape:
    """What one attention layer keeps of a token, as seen in its first call: heads and dims of K and V may differ."""

    heads: int
    key_dim: int
    value_dim: int
    dtype: torch.dtype

    @property
    def token_bytes(self) -> int:
        """Return the bytes of one token's key and value."""
        return self.heads * (self.key_dim + self.value_dim) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class StateShape:
    """What one short convolution keeps of a sequence: its last inputs, ``[channels, width]``."""

    channels: int
    width: int
    dtype: torch.dtype

    @property
    def slot_bytes(self) -> int:
        """Return the bytes of one sequence's state."""
        return self.channels * self.width * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class MemoryShape:
    """What a model keeps per token and per sequence, by ``layer_idx``."""

    layers: Mapping[int, LayerShape]
    states: Mapping[int, StateShape] = field(default_factory=dict)

    @property
    def token_bytes(self) -> int:
        """Return the bytes of one token over all layers."""
        return sum(shape.token_bytes for shape in self.layers.values())

    @property
    def state_bytes(self) -> int:
        """Return the bytes of one sequence whatever its length."""
        return sum(shape.slot_bytes for shape in self.states.values())


@dataclass(frozen=True, slots=True)
class Saved:
    """The memory of a whole prefix, away from any slot: K and V ``[heads, tokens, dim]`` and states by layer.

    Read-only once made, so that workers may share it.
    """

    tokens: int
    layers: Mapping[int, tuple[torch.Tensor, torch.Tensor]]
    states: Mapping[int, torch.Tensor]


class SlotMemory:
    """Keys, values and states of running sequences. The slots in use of a class are those below ``used(class)``.

    Whatever lies behind a sequence's own tokens is zero or a neighbour-free remainder of its own: a slot is cleared
    when it is given back, because a masked NaN would still be a NaN in the weighted sum.
    """

    def __init__(
        self, shape: MemoryShape, classes: Sequence[int], *, budget: int, device: torch.device | str = "cpu"
    ) -> None:
        """Keep sequences of a model of ``shape`` in length classes of these capacities, in ``budget`` bytes."""
        self.shape = shape
        self.classes = tuple(classes)
        self.budget = budget
        self.device = torch.device(device)
        self._used = [0] * len(self.classes)
        self._size = [0] * len(self.classes)
        self._width = [0] * len(self.classes)
        self._layers: list[dict[int, tuple[torch.Tensor, torch.Tensor]]] = [{} for _ in self.classes]
        self._states: list[dict[int, torch.Tensor]] = [{} for _ in self.classes]

    # ----------------------------------------------------------------------------------------------------------- figures
    def slot_bytes(self, length_class: int) -> int:
        """Return the bytes of one slot of a class."""
        return self.classes[length_class] * self.shape.token_bytes + self.shape.state_bytes

    def used(self, length_class: int) -> int:
        """Return the number of slots in use in a class."""
        return self._used[length_class]

    @property
    def allocated(self) -> int:
        """Bytes held by the tensors, slots not in use included."""
        token, state = self.shape.token_bytes, self.shape.state_bytes
        return sum(size * (width * token + state) for size, width in zip(self._size, self._width, strict=True))

    @property
    def promised(self) -> int:
        """Bytes that the tensors come to when the slots of every class are as wide as its capacity."""
        return sum(size * self.slot_bytes(c) for c, size in enumerate(self._size))

    def layer(self, length_class: int, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return K and V of a layer, ``[slots, heads, width, dim]``; write to them in place."""
        return self._layers[length_class][layer]

    def state(self, length_class: int, layer: int) -> torch.Tensor:
        """Return the states of a short convolution, ``[slots, channels, width]``; write to them in place."""
        return self._states[length_class][layer]

    # ------------------------------------------------------------------------------------------------------------- verbs
    def take(self, length_class: int) -> None:
        """Make one more slot of the class usable; it is zero.

        Grows the class by doubling while the budget has room, else by this one slot, after giving back what other
        classes hold unused. The budget counts slots as wide as they can become.
        """
        need = self._used[length_class] + 1
        size = self._size[length_class]
        if need > size:
            each = self.slot_bytes(length_class)
            room = self.budget - self.promised
            if room < (need - size) * each:
                self.trim()
                size = self._size[length_class]
                room = self.budget - self.promised
            size = max(need, min(2 * size, size + max(0, room) // each))
            self._resize(length_class, size, self._width[length_class])
        self._used[length_class] = need

    def reach(self, length_class: int, tokens: int) -> None:
        """Make the slots of a class wide enough for ``tokens`` tokens, which must not be more than its capacity.

        They are no wider than that needs, because batched products copy keys and values that do not lie next to those of
        the following head: 39 heads of 352 tokens in slots of 512, 80 us for each of the two (measured).
        """
        width = self._width[length_class]
        if tokens > width:
            wider = -(-max(tokens, width + width // GROWTH) // STEP) * STEP
            self._resize(length_class, self._size[length_class], min(wider, self.classes[length_class]))

    def drop(self, length_class: int, tokens: int) -> None:
        """Give the last slot in use back and clear the ``tokens`` tokens that lie in it."""
        self._used[length_class] -= 1
        slot = self._used[length_class]
        for key, value in self._layers[length_class].values():
            key[slot, :, :tokens] = 0
            value[slot, :, :tokens] = 0
        for state in self._states[length_class].values():
            state[slot] = 0
        if self.promised > self.budget:  # a sequence that moved up was in two classes for a moment
            self.trim()

    def copy(self, source: Place, target: Place, tokens: int, stale: int) -> None:
        """Copy a sequence of ``tokens`` tokens; of the target's ``stale`` old ones, the rest is cleared."""
        (c, i), (d, j) = source, target
        self.reach(d, max(tokens, stale))
        for layer, tensors in self._layers[c].items():
            for old, new in zip(tensors, self._layers[d][layer], strict=True):
                new[j, :, :tokens] = old[i, :, :tokens]
                if stale > tokens:
                    new[j, :, tokens:stale] = 0
        for layer, state in self._states[c].items():
            self._states[d][layer][j] = state[i]

    def save(self, place: Place, tokens: int) -> Saved:
        """Return a copy of the first ``tokens`` tokens of a slot."""
        c, i = place
        layers = {
            layer: (key[i, :, :tokens].clone(), value[i, :, :tokens].clone())
            for layer, (key, value) in self._layers[c].items()
        }
        return Saved(tokens, layers, {layer: state[i].clone() for layer, state in self._states[c].items()})

    def load(self, place: Place, saved: Saved) -> None:
        """Write a saved prefix to the beginning of a slot."""
        c, i = place
        self.reach(c, saved.tokens)
        for layer, tensors in self._layers[c].items():
            for mine, theirs in zip(tensors, saved.layers[layer], strict=True):
                mine[i, :, : saved.tokens] = theirs
        for layer, state in self._states[c].items():
            state[i] = saved.states[layer]

    def trim(self) -> None:
        """Give back what is allocated and not in use."""
        for length_class, used in enumerate(self._used):
            if self._size[length_class] > used:
                self._resize(length_class, used, self._width[length_class] if used else 0)

    def _resize(self, length_class: int, size: int, width: int) -> None:
        # Layer by layer, so that old and new memory exist together for one layer only.
        used, kept = min(size, self._used[length_class]), min(width, self._width[length_class])
        layers, states = self._layers[length_class], self._states[length_class]
        for layer, s in self.shape.layers.items():
            old = layers.pop(layer, None)
            key = torch.zeros(size, s.heads, width, s.key_dim, dtype=s.dtype, device=self.device)
            value = torch.zeros(size, s.heads, width, s.value_dim, dtype=s.dtype, device=self.device)
            if old is not None and used:
                key[:used, :, :kept] = old[0][:used, :, :kept]
                value[:used, :, :kept] = old[1][:used, :, :kept]
            del old
            layers[layer] = (key, value)
        for layer, s in self.shape.states.items():
            old_state = states.get(layer)
            state = torch.zeros(size, s.channels, s.width, dtype=s.dtype, device=self.device)
            if old_state is not None and used:
                state[:used] = old_state[:used]
            states[layer] = state
        self._size[length_class], self._width[length_class] = size, width
