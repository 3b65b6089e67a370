"""Tensors that are read from a GGUF file when a model being made asks for them, one at a time and in pieces.

The float copy of the whole never exists, nor the float32 copy of a tensor that is to be bf16. Pieces are read side by side,
each on one thread: threads inside each small operation wait for one another at its end, and on a machine with other work
that took twenty times the processor's time.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from engine.errors import ModelError
from engine.models.formats.gguf.blocks import numbers
from engine.models.regular import open_regular

if TYPE_CHECKING:
    from engine.models.formats.gguf.architectures.architecture import Architecture, Change
    from engine.models.formats.gguf.header import Tensor
    from engine.models.formats.gguf.parts import Files

PIECE = 1 << 18
"""Numbers that are turned into floats at once; what lies in between takes about 20 bytes a number."""
MOST = 8
"""Pieces that are read side by side at most."""


class LateTensor:
    """What transformers takes for a tensor of a file that was not read yet: indexed once, with ``[...]``, it is read."""

    def __init__(self, tensor: Tensor, path: str, change: Change, dtype: torch.dtype) -> None:
        """Stand for ``tensor`` in the file ``path``, to become ``dtype`` with ``change`` undone."""
        self._tensor, self._path, self._change, self.dtype = tensor, path, change, dtype
        self.shape = torch.Size(tensor.shape)

    def __getitem__(self, _: Any) -> torch.Tensor:
        """Return the tensor in memory of its own; raises ModelError when the file has become shorter."""
        made = torch.empty(self._tensor.elements, dtype=self.dtype)
        starts = range(0, len(made), max(PIECE, self._tensor.type.numbers))
        threads = torch.get_num_threads()
        if len(starts) == 1 or threads == 1:
            for start in starts:
                self._read(made, start)
        else:
            side_by_side = min(threads, MOST, len(starts))
            try:
                with ThreadPoolExecutor(side_by_side, "gguf", partial(torch.set_num_threads, 1)) as pool:
                    list(pool.map(partial(self._read, made), starts))
            finally:
                torch.set_num_threads(threads)  # what later threads begin with is one number for all
        return self._in_order(made.view(self._tensor.shape))

    def _read(self, made: torch.Tensor, start: int) -> None:
        """Fill in a piece of the flat tensor ``made``, from number ``start`` on."""
        tensor = self._tensor
        stop = min(tensor.elements, start + max(PIECE, tensor.type.numbers))
        size = (stop - start) // tensor.type.numbers * tensor.type.bytes
        with open_regular(self._path) as file:
            file.seek(tensor.start + start // tensor.type.numbers * tensor.type.bytes)
            data = np.fromfile(file, np.uint8, size)
        if len(data) < size:
            raise ModelError(f"{self._path} became shorter while it was read. Download it again.")
        piece = numbers(torch.from_numpy(data), tensor.number, tensor.type.name)
        # In float32: near 1 a 16-bit number has no room for what is left of a norm.
        made[start:stop] = piece - self._change.added if self._change.added else piece

    def _in_order(self, made: torch.Tensor) -> torch.Tensor:
        heads = self._change.heads
        if not heads:
            return made
        rows = made.shape[0]
        return made.view(heads, rows // heads // 2, 2, -1).transpose(1, 2).reshape(made.shape)


def late_tensors(
    files: Files, family: Architecture, config: dict[str, Any], dtype: torch.dtype
) -> dict[str, LateTensor]:
    """Return the tensors of a model by transformers' names, none of them read yet."""
    found: dict[str, LateTensor] = {}
    for name, (tensor, path) in files.tensors.items():
        ours = family.weight(name, files.first.shown)
        if ours is not None:
            found[ours] = LateTensor(tensor, path, family.undone(name, config), dtype)
    return found
