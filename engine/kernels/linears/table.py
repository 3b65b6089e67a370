"""The table of token vectors in less memory: as it was in its file, as int8 with a scale for every token, or as int4 with
a scale and a middle for every group.
"""

from __future__ import annotations

import torch

from engine.kernels.linears.int4 import quantise_groups
from engine.kernels.linears.int8 import Int8Weight
from engine.kernels.linears.stand_in import stand_in
from engine.kernels.mapped import let_go

_BLOCK = 1 << 20
"""Numbers quantised at once; they take 16 bytes each meanwhile."""


class HalfTable(torch.nn.Module):
    """Looks tokens up as ``nn.Embedding`` does: float32 vectors out of numbers that 16 bits hold to the last digit."""

    def __init__(self, weight: torch.Tensor) -> None:
        """Look up in ``weight`` ``[vocabulary, width]``, bfloat16 or float16."""
        super().__init__()
        self.num_embeddings, self.embedding_dim = weight.shape
        # Held in a tuple so that Module does not register it: it must stay in its type whatever the model is cast to.
        self._table = (weight,)
        self._stand_in = (stand_in(self.num_embeddings, self.embedding_dim, torch.float32),)

    @staticmethod
    def of(weight: torch.Tensor) -> HalfTable | None:
        """Return the table of a float32 ``weight``, or None where 16 bits do not hold its numbers exactly."""
        for dtype in (torch.bfloat16, torch.float16):
            table = torch.empty(weight.shape, dtype=dtype)
            step = max(1, _BLOCK // weight.shape[1])
            for start in range(0, weight.shape[0], step):
                rows = slice(start, start + step)
                table[rows] = weight[rows]
                if not torch.equal(table[rows].float(), weight[rows]):
                    break
            else:
                return HalfTable(table)
        return None

    @property
    def weight(self) -> torch.Tensor:
        """Shape of the table and type of what comes out, without numbers."""
        return self._stand_in[0]

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the vectors of token ids ``[...]``: ``[..., width]``."""
        return self._table[0][ids].float()

    def extra_repr(self) -> str:
        """Describe the shape, as ``nn.Embedding`` does."""
        return f"{self.num_embeddings}, {self.embedding_dim}, float32 in 16 bits"


class Int8Table(torch.nn.Module):
    """Looks tokens up as ``nn.Embedding`` does, in a quarter of float32's memory."""

    def __init__(self, weight: Int8Weight) -> None:
        """Look up in ``weight`` ``[vocabulary, width]``."""
        super().__init__()
        self.num_embeddings, self.embedding_dim = weight.numbers.shape
        # Held in a tuple so that Module does not register them: to it there is no weight to cast, move or save.
        self._table = (weight,)
        self._stand_in = (stand_in(self.num_embeddings, self.embedding_dim, weight.dtype),)

    @property
    def weight(self) -> torch.Tensor:
        """Shape of the table and type of what comes out, without numbers."""
        return self._stand_in[0]

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the vectors of token ids ``[...]``: ``[..., width]``."""
        return self._table[0].floats(ids.reshape(-1)).to(self.weight.dtype).view(*ids.shape, self.embedding_dim)

    def extra_repr(self) -> str:
        """Describe the shape, as ``nn.Embedding`` does."""
        return f"{self.num_embeddings}, {self.embedding_dim}, int8"


class Int4Table(torch.nn.Module):
    """Looks tokens up as ``nn.Embedding`` does, in some 0.625 bytes a number: two to a byte, in groups of ``GROUP``."""

    GROUP = 32

    def __init__(self, weight: Int8Weight, *, release: bool = False) -> None:
        """Look up in ``weight`` ``[vocabulary, width]``, width a multiple of ``GROUP``.

        It comes as int8, whose rounding is a tenth of that of int4, so that the floats are read once for this and for an
        output layer that is tied to it. ``release``: nobody reads it again, so its pages may go as soon as they are used.
        """
        super().__init__()
        tokens, width = weight.numbers.shape
        self.num_embeddings, self.embedding_dim = tokens, width
        pairs = torch.empty(tokens, width // 2, dtype=torch.uint8)
        scales = torch.empty(tokens, width // self.GROUP, 2, dtype=weight.dtype)
        step = max(1, _BLOCK // width)
        for start in range(0, tokens, step):
            rows = slice(start, start + step)
            whole, scale = quantise_groups(weight.floats(rows), self.GROUP)
            halves = whole.to(torch.uint8)
            pairs[rows] = halves[:, 0::2] | (halves[:, 1::2] << 4)
            scales[rows] = scale.transpose(0, 1)  # exact: scales and middles have bfloat16's digits
            if release:
                let_go(weight.numbers[rows])
        self._table = (pairs, scales)
        self._stand_in = (stand_in(self.num_embeddings, self.embedding_dim, weight.dtype),)

    @property
    def weight(self) -> torch.Tensor:
        """Shape of the table and type of what comes out, without numbers."""
        return self._stand_in[0]

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the vectors of token ids ``[...]``: ``[..., width]``."""
        pairs, scales = self._table[0][ids], self._table[1][ids]
        halves = torch.stack([pairs & 15, pairs >> 4], -1).view(*ids.shape, -1, self.GROUP)
        parts = (halves.to(scales.dtype) - 8).mul_(scales[..., :1]).add_(scales[..., 1:])
        return parts.view(*ids.shape, self.embedding_dim)

    def extra_repr(self) -> str:
        """Describe the shape, as ``nn.Embedding`` does."""
        return f"{self.num_embeddings}, {self.embedding_dim}, int4 in groups of {self.GROUP}"
