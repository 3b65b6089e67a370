"""What other code finds where a weight used to be: its shape, type and device, and no numbers."""

from __future__ import annotations

import torch


def stand_in(outputs: int, inputs: int, dtype: torch.dtype) -> torch.Tensor:
    """Return ``[outputs, inputs]`` of NaN that takes the memory of one number.

    Some families ask a linear's weight for its type before they call it (T5's ``wo``). Whoever computes with the numbers
    gets NaN, which no check at load lets pass. Others fill the weights of their parts once more when a model has been
    read (GPT-BigCode's ``c_proj``), all but those that say that they are filled.
    """
    made = torch.full((1, 1), float("nan"), dtype=dtype).expand(outputs, inputs)
    made._is_hf_initialized = True  # pyright: ignore[reportAttributeAccessIssue] # noqa: SLF001 - transformers' mark
    return made
