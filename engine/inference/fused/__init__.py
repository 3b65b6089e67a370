"""Small operations of a decoder joined into one where PyTorch has one for them: each pass over the activations counts.

What a module computes is asked of the module itself before it is replaced.
"""

from __future__ import annotations

from typing import Any

import torch

from engine.inference.fused.joining import join
from engine.kernels.fused.gate import fuse_gate
from engine.kernels.fused.norm import fuse_norm

__all__ = ["fuse", "join"]


def fuse(model: torch.nn.Module) -> int:
    """Join norms, and gates with what follows them, in ``model`` on the CPU; returns how many modules were changed."""
    pays: dict[tuple[Any, ...], bool] = {}
    changed = 0
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            fused = fuse_norm(child, pays)
            if fused is not None:
                setattr(parent, name, fused)
                changed += 1
        changed += fuse_gate(parent)
    return changed
