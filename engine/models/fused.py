"""Small operations of a decoder joined into one where PyTorch has one for them: each pass over the activations counts.

What a module computes is asked of the module itself, on random rows, before it is replaced.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch

from engine.models.linears.packed import PackedLinear, best_time

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)

_ROWS = 64


class FusedNorm(torch.nn.Module):
    """Root mean square normalisation (Zhang and Sennrich 2019) as one operation."""

    def __init__(self, weight: torch.nn.Parameter, eps: float) -> None:
        """Scale by ``weight`` ``[width]``."""
        super().__init__()
        self.weight = weight
        self.variance_epsilon = eps

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return ``rows`` ``[..., width]`` divided by their root mean square, times the weight."""
        return torch.nn.functional.rms_norm(rows, self.weight.shape, self.weight, self.variance_epsilon)

    def extra_repr(self) -> str:
        """Describe the shape."""
        return f"{tuple(self.weight.shape)}, eps={self.variance_epsilon}"


def fuse(model: nn.Module) -> int:
    """Join what can be joined in ``model``, which is on the CPU; returns how many modules were changed."""
    pays: dict[tuple[Any, ...], bool] = {}
    changed = 0
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            fused = _norm(child, pays)
            if fused is not None:
                setattr(parent, name, fused)
                changed += 1
        changed += _swish(parent)
    return changed


def _norm(plain: nn.Module, pays: dict[tuple[Any, ...], bool]) -> FusedNorm | None:
    """Return what replaces a norm that computes what one operation does, and not faster; None for anything else."""
    if not type(plain).__name__.endswith("RMSNorm") or [name for name, _ in plain.named_parameters()] != ["weight"]:
        return None
    weight: Any = plain.weight
    eps = getattr(plain, "variance_epsilon", getattr(plain, "eps", None))
    if weight.dim() != 1 or weight.device.type != "cpu" or not isinstance(eps, float):
        return None
    fused = FusedNorm(weight, eps)
    key = (type(plain), tuple(weight.shape), weight.dtype, eps)
    rows = _random(weight.shape[0], weight.dtype)
    try:
        if not _same(fused(rows), plain(rows)):
            return None
        if key not in pays:
            pays[key] = best_time(lambda: fused(rows)) <= best_time(lambda: plain(rows))
    except (RuntimeError, TypeError, ValueError) as error:
        log.info("%s stays as it is: %s", type(plain).__name__, error)
        return None
    return fused if pays[key] else None


def _swish(parent: nn.Module) -> int:
    """Let a packed gate apply the SiLU that follows it, as in ``act_fn(gate_proj(x)) * up_proj(x)``."""
    gate, act = getattr(parent, "gate_proj", None), getattr(parent, "act_fn", None)
    if not isinstance(gate, PackedLinear) or not isinstance(act, torch.nn.Module) or gate.after != ("none", ""):
        return 0
    probe = torch.linspace(-4, 4, 65)
    rows = _random(gate.in_features, gate.weight.dtype)
    try:
        if not torch.allclose(act(probe), torch.nn.functional.silu(probe)):
            return 0
        before = parent(rows)
        gate.after = ("swish", "")
        parent.act_fn = torch.nn.Identity()
        if _same(parent(rows), before):
            return 1
    except (RuntimeError, TypeError, ValueError) as error:
        log.info("the gate of %s stays as it is: %s", type(parent).__name__, error)
    gate.after = ("none", "")
    parent.act_fn = act
    return 0


def _random(width: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(_ROWS, width, generator=torch.Generator().manual_seed(0)).to(dtype)


def _same(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Tell whether two results agree within the rounding of their format."""
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return False
    error = (ours.float() - theirs.float()).square().mean().sqrt() / theirs.float().std().clamp_min(1e-9)
    return bool(error < (1e-5 if ours.dtype is torch.float32 else 0.01))
