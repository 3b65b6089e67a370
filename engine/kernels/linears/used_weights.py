"""Weights that other code computes with, past the module that holds them: those modules must keep their numbers.

Mamba multiplies by ``dt_proj.weight`` itself. A replaced linear has NaN there, and so would every logit be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Watch(TorchDispatchMode):
    """Writes down whose stand-in an operation is given; asking one for its type or shape is no operation."""

    def __init__(self, owners: dict[int, str]) -> None:
        super().__init__()
        self._owners = owners
        self.found: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for given in tree_leaves((args, kwargs)):
            if isinstance(given, torch.Tensor) and given.layout is torch.strided:
                owner = self._owners.get(given.data_ptr())
                if owner is not None:
                    self.found.add(owner)
        return func(*args, **(kwargs or {}))


def used_weights(model: torch.nn.Module, run: Callable[[], object]) -> set[str]:
    """Return the names of replaced modules in ``model`` whose weight something else computes with during ``run``."""
    owners: dict[int, str] = {}
    for name, module in model.named_modules():
        if hasattr(module, "_stand_in"):
            weight: Any = module.weight
            owners[weight.data_ptr()] = name
    watch = _Watch(owners)
    with watch:
        run()
    return watch.found
