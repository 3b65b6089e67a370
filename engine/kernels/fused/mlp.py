"""The gate and the up linear of a gated MLP in one product, or the second one multiplied onto the first on its way out."""

from __future__ import annotations

from typing import Any

import torch

from engine.kernels.linears.packed import PackedLinear
from engine.kernels.linears.stacked import stack

_NAMES = frozenset({"gate_proj", "up_proj", "down_proj", "act_fn"})
"""What the forward of such an MLP looks up."""

_FEW = 64
"""Rows up to which the product is multiplied on its way out: beyond, a pass of its own is 4 to 6 % faster in bfloat16."""


class JoinedMlp:
    """Stands for the forward of one MLP: ``down(act(gate(x)) * up(x))``."""

    __slots__ = ("_act", "_gate", "_up", "_width", "output", "whole")

    def __init__(self, plain: Any, whole: torch.nn.Module | None) -> None:
        """Compute what ``plain`` does, with ``whole`` for gate and up, or with the two if it is None."""
        self.whole = whole
        self._gate, self._up = (None, None) if whole is not None else (plain.gate_proj, plain.up_proj)
        self._act = None if isinstance(plain.act_fn, torch.nn.Identity) else plain.act_fn
        self._width = plain.gate_proj.out_features
        self.output = plain.down_proj
        """The linear behind them."""

    @property
    def act(self) -> Any:
        """The activation of the gate; None where the gate has it in itself, or none."""
        return self._act

    @property
    def linears(self) -> tuple[Any, Any, Any, Any]:
        """Gate and up in one, or None; gate and up, or None; and the linear behind them."""
        return self.whole, self._gate, self._up, self.output

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the MLP's output for ``rows`` ``[..., hidden]``."""
        return self.output(self.inner(rows))

    def inner(self, rows: torch.Tensor) -> torch.Tensor:
        """Return what the last linear is given for ``rows`` ``[..., hidden]``."""
        if self.whole is not None:
            gate, up = self.whole.forward(rows).split(self._width, -1)
            return gate.mul(up) if self._act is None else self._act(gate).mul_(up)
        assert self._gate is not None
        assert self._up is not None
        gate = self._activated(self._gate.forward(rows))
        if rows.numel() > _FEW * rows.shape[-1]:
            return self._up.forward(rows).mul_(gate)
        return self._up.times(rows, gate)

    def _activated(self, gate: torch.Tensor) -> torch.Tensor:
        return gate if self._act is None else self._act(gate)


def may_be_joined(module: Any) -> bool:
    """Tell whether a module has the parts and the code of a gated MLP."""
    parts = [getattr(module, name, None) for name in _NAMES]
    if not all(isinstance(part, torch.nn.Module) for part in parts) or "forward" in vars(module):
        return False
    code = getattr(type(module).forward, "__code__", None)
    if code is None or set(code.co_names) != _NAMES:
        return False
    return getattr(module.gate_proj, "out_features", 0) == getattr(module.up_proj, "out_features", 1)


def joined(module: Any) -> JoinedMlp | None:
    """Return what may stand for the forward of ``module``, or None."""
    if isinstance(module.gate_proj, PackedLinear) and isinstance(module.up_proj, PackedLinear):
        return JoinedMlp(module, None)
    whole = stack([module.gate_proj, module.up_proj])
    return None if whole is None else JoinedMlp(module, whole)
