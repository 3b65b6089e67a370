"""The table of token vectors as int8, a scale for every token."""

from __future__ import annotations

import torch

from engine.models.linears.int8 import Int8Weight
from engine.models.linears.stand_in import stand_in


class Int8Table(torch.nn.Module):
    """Looks tokens up as ``nn.Embedding`` does, in a quarter of float32's memory."""

    def __init__(self, weight: Int8Weight) -> None:
        """Look up in ``weight`` ``[vocabulary, width]``."""
        super().__init__()
        self.num_embeddings, self.embedding_dim = weight.numbers.shape
        # Held in a tuple so that Module does not register them: to it there is no weight to cast, move or save.
        self._table = (
            weight.numbers,
            weight.scale.to(weight.dtype)[:, None],
        )  # exact: the scales have bfloat16's digits
        self._stand_in = (stand_in(self.num_embeddings, self.embedding_dim, weight.dtype),)

    @property
    def weight(self) -> torch.Tensor:
        """Shape of the table and type of what comes out, without numbers."""
        return self._stand_in[0]

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the vectors of token ids ``[...]``: ``[..., width]``."""
        whole, scale = self._table
        return whole[ids].to(scale.dtype).mul_(scale[ids])

    def extra_repr(self) -> str:
        """Describe the shape, as ``nn.Embedding`` does."""
        return f"{self.num_embeddings}, {self.embedding_dim}, int8"
