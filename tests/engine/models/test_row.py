"""Linears for one row, compiled: what the linear itself computes for that row."""

from __future__ import annotations

import warnings

import pytest
import torch
from machine_can import need_packing

from engine.kernels.linears import fbgemm, int4, int8_kernels
from engine.kernels.linears.half import HalfLinear, HalfWeight
from engine.kernels.linears.int8 import Int8Linear
from engine.kernels.linears.int8_kernels import Int8Kernels
from engine.kernels.linears.onto import add_product
from engine.kernels.linears.packed import PackedLinear
from engine.kernels.linears.row import row_of

KERNELS = Int8Kernels.find()

INT8 = {"int8": KERNELS, "few": Int8Kernels(KERNELS.levels, few=True), "seven bits": Int8Kernels(63, few=False)}
NAMES = ["plain", "packed", "swish", *INT8]
if fbgemm.available():
    INT8 |= {
        "FBGEMM": Int8Kernels(63, few=False, fbgemm=True),
        "filled": Int8Kernels(63, few=False, fbgemm=True, filling=True),
    }
    NAMES += ["FBGEMM", "filled", "half"]
if int4.works():
    NAMES += ["int4"]


@pytest.fixture(autouse=True)
def _small_weights_count_as_large(monkeypatch):
    monkeypatch.setattr(int8_kernels, "_LARGE", 0)


def make(name, outputs, inputs, dtype, *, biased):
    torch.manual_seed(3)
    linear = torch.nn.Linear(inputs, outputs, bias=biased).requires_grad_(False)
    linear.weight.copy_(linear.weight.bfloat16())
    linear = linear.to(dtype)
    if name == "plain":
        return linear
    if name in ("packed", "swish"):
        need_packing(dtype)
        made = PackedLinear(linear.weight, linear.bias)
        made.after = ("swish", "") if name == "swish" else ("none", "")
        return made
    if name == "half":
        held = HalfWeight.of(linear.weight)
        assert held is not None
        return HalfLinear(held, linear.bias)
    if name == "int4":
        return int4.Int4Linear(int4.quantise_weight(linear.weight, 64), linear.bias)
    return Int8Linear(linear.weight, linear.bias, INT8[name], keep_both=True)


def compiled(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(module)


@pytest.mark.parametrize("shape", [(96, 128), (64, 192)])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_one_row_comes_out_as_from_the_linear(name, dtype, biased, shape):
    if name == "half" and dtype is torch.bfloat16:
        pytest.skip("weights of float32 only")
    linear = make(name, *shape, dtype, biased=biased)
    row = compiled(row_of(linear))
    room = {"rtol": 2**-7, "atol": 2**-7} if dtype is torch.bfloat16 else {"rtol": 1e-5, "atol": 1e-6}
    there = torch.randn(1, shape[0]).to(dtype)
    before = there.clone()
    for scale in (1e-3, 1.0, 1e3):
        x = (torch.randn(1, shape[1]) * scale).to(dtype)
        for _ in range(3):  # compiled at the first call, and again at the second
            ours = row(x)
        assert ours.dtype == dtype
        torch.testing.assert_close(ours, linear(x), **room)
        if name != "swish":
            torch.testing.assert_close(row.onto(x, there), add_product(linear, x, there), **room)
    assert torch.equal(there, before)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "swish"])
def test_a_row_of_zeros_and_one_without_numbers_stay_that(name):
    linear = make(name, 64, 128, torch.float32, biased=False)
    row = row_of(linear)
    assert torch.equal(row(torch.zeros(1, 128)), torch.zeros(1, 64))
    assert compiled(row)(torch.full((1, 128), float("nan"))).isnan().all()


def test_weights_that_are_turned_to_floats_have_no_row():
    linear = torch.nn.Linear(64, 32).requires_grad_(False)
    assert row_of(Int8Linear(linear.weight, None, Int8Kernels(0, few=False))) is None
    assert row_of(torch.nn.Identity()) is None
