"""The product of a linear added to what is there already, in as few passes as its format allows."""

from __future__ import annotations

from typing import Any

import torch


def add_product(linear: Any, rows: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """Return ``there + linear(rows)`` for ``rows`` ``[..., in]`` and ``there`` ``[..., out]``, which stays as it is."""
    onto = getattr(linear, "onto", None)
    if onto is not None:
        return onto(rows, there)
    return there + linear(rows)
