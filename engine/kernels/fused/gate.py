"""The gate of a gated MLP with the SiLU behind it in one operation, where the gate is packed for oneDNN."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from engine.kernels.fused.same import random_rows, same
from engine.kernels.linears.packed import PackedLinear

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)


def fuse_gate(parent: nn.Module) -> bool:
    """Let a packed gate apply the SiLU that follows it, as in ``act_fn(gate_proj(x)) * up_proj(x)``; tells if it does."""
    gate, act = getattr(parent, "gate_proj", None), getattr(parent, "act_fn", None)
    if not isinstance(gate, PackedLinear) or not isinstance(act, torch.nn.Module) or gate.after != ("none", ""):
        return False
    probe = torch.linspace(-4, 4, 65)
    rows = random_rows(gate.in_features, gate.weight.dtype)
    try:
        if not torch.allclose(act(probe), torch.nn.functional.silu(probe)):
            return False
        before = parent(rows)
        gate.after = ("swish", "")
        parent.act_fn = torch.nn.Identity()
        if same(parent(rows), before):
            return True
    except (RuntimeError, TypeError, ValueError) as error:
        log.info("the gate of %s stays as it is: %s", type(parent).__name__, error)
    gate.after = ("none", "")
    parent.act_fn = act
    return False
