"""Whether two ways of computing something come to the same: what is replaced is always asked first."""

from __future__ import annotations

import torch

_ROWS = 64


def random_rows(width: int, dtype: torch.dtype) -> torch.Tensor:
    """Return seeded rows ``[64, width]`` of mean 0 and deviation 1."""
    return torch.randn(_ROWS, width, generator=torch.Generator().manual_seed(0)).to(dtype)


def same(ours: torch.Tensor, theirs: torch.Tensor, *, rounded: bool = False) -> bool:
    """Tell whether two results agree within the rounding of their format.

    ``rounded``: linears on the way round what they are given, so a last digit may come out as a step.
    """
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return False
    error = (ours.float() - theirs.float()).square().mean().sqrt() / theirs.float().std().clamp_min(1e-9)
    return bool(error < (1e-5 if ours.dtype is torch.float32 and not rounded else 0.01))
