"""The number format of a model's linears: which module takes the place of a linear, decided once a shape by trial."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch

from engine.kernels.linears.half import HalfLinear, HalfWeight, halving_pays, is_right
from engine.kernels.linears.int4 import GROUPS, Int4Linear, group_of, holds_as_it_is
from engine.kernels.linears.int4 import quantise_weight as quantise_groups_of
from engine.kernels.linears.int4 import works as int4_works
from engine.kernels.linears.int8 import Int8Linear, Int8Weight, quantise_weight
from engine.kernels.linears.int8_kernels import Int8Kernels
from engine.kernels.linears.packed import PackedLinear, fuse_gelu, packing_pays
from engine.kernels.linears.table import HalfTable, Int4Table, Int8Table
from engine.telemetry import machine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

log = logging.getLogger(__name__)

_ROOM = 0.25
"""Share of the free memory that a second layout of the same weights may take."""

_OFF = 0.3
"""RMS error of an int4 product, in standard deviations, beyond which it is wrong and not rounded: 0.09 is usual, weights
with outliers come to 0.2, and a wrong layout is above 1."""


class LinearFormat:
    """Makes the linears of one model; ``replaced`` counts them by kind.

    ``float32`` and ``bf16`` are packed for oneDNN where that pays; ``float32`` keeps weights that 16 bits hold in 16
    bits. ``int8`` linears have int8 weights. ``int4`` ones have int4 weights where the operators take the shape, else
    int8; the output layer has int8 in both.
    """

    def __init__(
        self,
        name: str,
        *,
        weights: int = 0,
        plain: frozenset[str] = frozenset(),
        factors: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        """Take ``name`` as the format; ``weights`` is the model's size in bytes in it, 0 if unknown.

        ``plain`` are the names of modules that stay as they are (``used_weights``); ``factors`` are those of int8
        linears by name (``smoothing``).
        """
        self.name = name
        self.factors = factors or {}
        self.plain = plain
        self.replaced = 0
        self._pays: dict[tuple[int, ...], bool] = {}
        self._halves = name == "float32" and halving_pays()
        self._right: dict[tuple[int, ...], bool] = {}
        self._kernels = Int8Kernels.find() if name in ("int8", "int4") else None
        self._int4 = name == "int4" and int4_works()
        self.repacked = False
        """Whether int4 holds numbers of a file as they are, without rounding them once more."""
        self._keep_both = weights < _ROOM * machine.memory_available()

    def make(
        self,
        weight: torch.Tensor | Int8Weight,
        bias: torch.nn.Parameter | None,
        *,
        parent: object = None,
        output: bool = False,
        name: str = "",
    ) -> nn.Module | None:
        """Return what replaces a linear of ``weight`` ``[out, in]``, or None where the plain one is best.

        ``parent`` is the module that holds it: linears of one parent may share their quantised input. ``output``: it
        makes the logits. ``name`` is its own in the model, empty if unknown.
        """
        made = self._make(weight, bias, parent, output, self.factors.get(name))
        self.replaced += made is not None
        return made

    def _make(
        self,
        weight: torch.Tensor | Int8Weight,
        bias: torch.nn.Parameter | None,
        parent: object,
        output: bool,
        factors: torch.Tensor | None,
    ) -> nn.Module | None:
        if isinstance(weight, Int8Weight):
            assert self._kernels is not None
            return Int8Linear(weight, bias, self._kernels, keep_both=self._keep_both, output=output)
        if weight.device.type != "cpu" or not weight.is_floating_point():
            return None
        if self._kernels is not None:
            group = group_of(*weight.shape)
            if self._int4 and group and not output:
                if holds_as_it_is(weight):
                    self.repacked, group = True, GROUPS[-1]
                made = Int4Linear(quantise_groups_of(weight, group), bias)
                if self._is_right(made, weight):
                    return made
            return Int8Linear(
                weight,
                bias,
                self._kernels,
                siblings=id(parent),
                keep_both=self._keep_both,
                output=output,
                factors=factors,
            )
        half = self._half(weight, bias) if self._halves else None
        if half is not None:
            return half
        shape = tuple(weight.shape)
        if shape not in self._pays:
            self._pays[shape] = packing_pays(weight)
        return PackedLinear(weight, bias) if self._pays[shape] else None

    def _half(self, weight: torch.Tensor, bias: torch.nn.Parameter | None) -> HalfLinear | None:
        """Return the linear over 16 bits if they hold the weight; whether it is right is asked once a shape (law 10)."""
        shape = tuple(weight.shape)
        if weight.dtype is not torch.float32 or not self._right.get(shape, True):
            return None
        held = HalfWeight.of(weight)
        if held is None:
            return None
        made = HalfLinear(held, bias)
        if shape not in self._right:
            self._right[shape] = is_right(made, weight)
        return made if self._right[shape] else None

    def _is_right(self, made: Int4Linear, weight: torch.Tensor) -> bool:
        """Tell whether a linear is the weight that it was made of, up to its rounding; asked once a shape (law 10)."""
        shape = tuple(weight.shape)
        if shape not in self._right:
            rows = torch.randn(2, shape[1], generator=torch.Generator().manual_seed(0))
            ours = made.without_bias(rows)
            theirs = torch.nn.functional.linear(rows.to(weight.dtype), weight).float()
            error = float((ours - theirs).square().mean().sqrt() / theirs.std().clamp_min(1e-9))
            self._right[shape] = error < _OFF
            if not self._right[shape]:
                log.warning("int4 of %s is %.2g standard deviations off; not used", shape, error)
        return self._right[shape]


def tied_names(model: Any) -> set[str]:
    """Return the names of parameters that stand for another one, or that another one stands for."""
    tied = getattr(model, "all_tied_weights_keys", None) or {}
    return {*tied.keys(), *tied.values()}


def replace_linears(model: nn.Module, made: LinearFormat) -> int:
    """Replace the model's plain linears by those of the format; returns how many.

    Modules that other code looks into (tied weights, parametrised or subclassed linears) are left alone.
    """
    before = made.replaced
    seen: set[int] = set()
    shared = {id(m.weight) for m in model.modules() if type(m) is torch.nn.Embedding}
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is not torch.nn.Linear or id(child.weight) in shared or id(child) in seen:
                continue
            seen.add(id(child))
            replacement = made.make(child.weight, child.bias, parent=parent)
            if replacement is not None:
                setattr(parent, name, replacement)
    for parent in model.modules():
        fuse_gelu(parent)
    return made.replaced - before


def restore_linears(model: nn.Module, names: set[str]) -> None:
    """Give packed and int8 linears of these names their numbers in rows back: something else computes with them."""
    for name in names:
        packed = model.get_submodule(name)
        if isinstance(packed, PackedLinear):
            numbers = packed.numbers()
        elif isinstance(packed, Int8Linear):
            numbers = packed.numbers().floats(slice(None)).to(packed.weight.dtype)
        else:
            continue
        plain = torch.nn.Linear(packed.in_features, packed.out_features, bias=False, device="meta")
        plain.weight = torch.nn.Parameter(numbers, requires_grad=False)
        plain.bias = packed.bias  # pyright: ignore[reportAttributeAccessIssue] - None is allowed, as in nn.Linear
        parent, _dot, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, plain.eval())


def settle_tables(model: Any, made: LinearFormat) -> None:
    """Give an output layer that is tied to the token vectors a weight of its own, and whole formats a table in theirs.

    A float copy costs memory, so it is made only where there is room. Tables of a special kind stay as they are.
    """
    head: Any = model.get_output_embeddings()
    table: Any = model.get_input_embeddings()
    weight: Any = getattr(table, "weight", None)
    if weight is None or weight.device.type != "cpu":
        return
    if any(name in made.plain for name, module in model.named_modules() if module is head or module is table):
        return
    tied = type(head) is torch.nn.Linear and head.weight is weight
    plain = type(table) is torch.nn.Embedding
    # Where nobody else computes with the numbers, the floats need not outlive the reading.
    alone = plain and all(m in (head, table) for m in model.modules() if getattr(m, "weight", None) is weight)
    if made.name not in ("int8", "int4"):
        output = None
        if tied and head is not None and weight.nbytes <= _ROOM * machine.memory_available():
            output = made.make(weight, head.bias, output=True)
            _exchange(model, head, output)
        if made.name == "float32" and alone and (output is not None or not tied):
            _exchange(model, table, HalfTable.of(weight))
        return
    if not tied and not alone:
        return
    name = next((name for name, module in model.named_modules() if module is head), "")
    whole = quantise_weight(
        weight, factors=made.factors.get(name), release=alone and (tied or head is None or head.weight is not weight)
    )
    kept = False
    if tied and head is not None:
        output = made.make(whole, head.bias, output=True)
        _exchange(model, head, output)
        kept = isinstance(output, Int8Linear) and output.kernels.few
    if alone:
        # Such a file keeps more bits of its table, and what linears are spared its table is spared too.
        small = made.name == "int4" and not made.repacked and weight.shape[1] % Int4Table.GROUP == 0
        _exchange(model, table, Int4Table(whole, release=not kept) if small else Int8Table(whole))


def _exchange(model: nn.Module, old: nn.Module, new: nn.Module | None) -> None:
    if new is None:
        return
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if child is old:
                setattr(parent, name, new.eval())
