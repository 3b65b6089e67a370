"""How one forward's row of tokens is laid out: decode rows class by class, then prompt chunks. Index tensors once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from engine.inference.generation.scheduler import Step
    from engine.inference.generation.slots import SlotMemory

ROUND = 16
"""Keys of a decode call are rounded up to this many columns: vector code falls to scalar code on ragged ends."""


@dataclass(frozen=True, slots=True)
class View:
    """The columns ``first`` to ``last`` of the KV memory that a group of queries looks at.

    ``mask`` is added to the scores and broadcasts to ``[rows, heads, queries, columns]``; None hides nothing.
    """

    first: int
    last: int
    mask: torch.Tensor | None


class DecodeGroup:
    """One row each for the decoding sequences of a length class, in the order of their slots.

    ``start`` to ``stop`` are their rows in the forward, ``low`` to ``high`` the slots attended over in one call. Slots in
    between that do not decode now (their prompt is being filled in) ride along and their output is dropped.
    """

    def __init__(self, length_class: int, start: int, slots: list[int], done: list[int], device: torch.device) -> None:
        """Describe sequences in ``slots`` (ascending) with ``done`` tokens in memory before this forward."""
        self.length_class = length_class
        self.start, self.stop = start, start + len(slots)
        self.low, self.high = slots[0], slots[-1] + 1
        self.slots = torch.tensor(slots, device=device)
        """Slot of each row, ``[rows]``."""
        self.columns = torch.tensor(done, device=device)
        """Column of memory that each row's key and value go to, ``[rows]``."""
        self.dense = len(slots) == self.high - self.low
        """Whether every slot between ``low`` and ``high`` decodes."""
        self.spots = None if self.dense else self.slots - self.low
        self.longest = max(done) + 1
        """Tokens of the longest sequence, the one of this forward included."""
        self._device = device
        lengths = np.full(self.high - self.low, self.longest)
        lengths[np.array(slots) - self.low] = np.array(done) + 1
        self._lengths = lengths
        self._views: dict[tuple[int | None, torch.dtype, bool], View] = {}

    def view(self, window: int | None, width: int, dtype: torch.dtype, *, whole: bool = False) -> View:
        """Return the columns to attend to under a sliding window (None: all), with a mask ``[slots, 1, 1, columns]``.

        ``width``: columns of a slot. ``whole``: all of them, where no window says otherwise.
        """
        key = (window, dtype, whole)
        if key not in self._views:
            lengths = self._lengths
            last = width if whole and window is None else min(width, -(-self.longest // ROUND) * ROUND)
            first = 0 if window is None else max(0, int(lengths.min()) - window)
            columns = np.arange(first, last)
            hidden = columns >= lengths[:, None]
            if window is not None:
                hidden |= columns < lengths[:, None] - window
            mask = None
            if hidden.any():
                mask = torch.zeros(len(lengths), 1, 1, last - first, dtype=dtype)
                mask = mask.masked_fill_(torch.from_numpy(hidden)[:, None, None], float("-inf")).to(self._device)
            self._views[key] = View(first, last, mask)
        return self._views[key]


class ChunkRows:
    """A piece of a prompt: rows ``start`` to ``stop`` of the forward, behind ``past`` tokens already in its slot."""

    def __init__(self, length_class: int, slot: int, start: int, stop: int, past: int, device: torch.device) -> None:
        """Describe the piece; nothing is computed before an attention asks for its view."""
        self.length_class, self.slot = length_class, slot
        self.start, self.stop, self.past = start, stop, past
        self._device = device
        self._views: dict[tuple[int | None, torch.dtype], View] = {}

    def view(self, window: int | None, dtype: torch.dtype) -> View:
        """Return the columns to attend to under a sliding window, with a mask ``[queries, columns]``."""
        total = self.past + self.stop - self.start
        if window is not None and window >= total:
            window = None
        key = (window, dtype)
        if key not in self._views:
            first = 0 if window is None else max(0, self.past - window + 1)
            query = torch.arange(self.past, total)[:, None]
            column = torch.arange(first, total)[None, :]
            hidden = column > query
            if window is not None:
                hidden |= column <= query - window
            mask = torch.zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, float("-inf")).to(self._device)
            self._views[key] = View(first, total, mask)
        return self._views[key]


class Layout:
    """A forward's row of ``tokens`` tokens and the memory behind it; belongs to one worker, for one step."""

    def __init__(self, step: Step, memory: SlotMemory) -> None:
        """Lay out ``step`` over ``memory``."""
        self.memory = memory
        self.tokens = step.tokens
        self.groups: list[DecodeGroup] = []
        self.chunks: list[ChunkRows] = []
        self.alone: tuple[Any, tuple[Any, ...] | None] | None = None
        """What joined layers remember of a step of one row, for the next layer."""
        self._later: list[Callable[[], None]] = []
        device = memory.device
        row = 0
        while row < len(step.decode):
            length_class = step.decode[row].length_class
            stop = row
            while stop < len(step.decode) and step.decode[stop].length_class == length_class:
                stop += 1
            group = step.decode[row:stop]
            self.groups.append(DecodeGroup(length_class, row, [e.slot for e in group], [e.done for e in group], device))
            row = stop
        for chunk in step.chunks:
            entry = chunk.entry
            stop = row + chunk.stop - chunk.start
            self.chunks.append(ChunkRows(entry.length_class, entry.slot, row, stop, chunk.start, device))
            row = stop

    def later(self, write: Callable[[], None]) -> None:
        """Do ``write`` once the whole forward has been computed, so that a cancelled one can be run again."""
        self._later.append(write)

    def commit(self) -> None:
        """Do what was put off: the forward is complete."""
        for write in self._later:
            write()
        self._later.clear()
