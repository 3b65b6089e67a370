"""Float32 linears over weights in 16 bits: the same numbers, the same product, and other weights stay as they are."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from engine.kernels.linears import fbgemm, half
from engine.kernels.linears.format import LinearFormat
from engine.kernels.linears.half import HalfLinear, HalfWeight, exponent_of, is_right
from engine.kernels.linears.onto import add_product
from engine.kernels.linears.stacked import stack
from engine.kernels.linears.table import HalfTable

needs_fbgemm = pytest.mark.skipif(not fbgemm.available(), reason="this machine has no FBGEMM")


def weight(outputs, inputs, dtype=torch.bfloat16, seed=0):
    torch.manual_seed(seed)
    return (torch.randn(outputs, inputs) * 0.02).to(dtype).float()


def made_of(numbers, bias=None):
    held = HalfWeight.of(numbers)
    assert held is not None
    return HalfLinear(held, None if bias is None else torch.nn.Parameter(bias, requires_grad=False))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_numbers_of_16_bits_fit_whatever_their_size(dtype):
    for factor in (2.0**-12, 1.0, 2.0**10):
        numbers = weight(64, 96, dtype) * factor
        exponent = exponent_of(numbers)
        assert exponent is not None
        assert torch.equal((numbers * 2.0**exponent).half().float() * 2.0**-exponent, numbers)


def test_what_is_too_small_is_off_by_less_than_float32_rounds():
    numbers = weight(64, 96)
    numbers[3, 5] = torch.tensor(1.2345e-14).bfloat16().float()
    exponent = exponent_of(numbers)
    assert exponent is not None
    kept = (numbers * 2.0**exponent).half().float() * 2.0**-exponent
    assert float((kept - numbers).abs().max()) <= 2.0**-39 * float(numbers.abs().max())


def test_numbers_with_more_digits_do_not_fit_nor_do_those_that_are_none():
    assert exponent_of(weight(64, 96, torch.float32)) is None
    one_more = weight(5000, 96)
    one_more[-1, -1] = 0.010001
    assert exponent_of(one_more) is None
    for wrong in (float("inf"), float("nan")):
        numbers = weight(64, 96)
        numbers[7, 7] = wrong
        assert exponent_of(numbers) is None
    assert exponent_of(torch.full((4, 4), 2.0**-140)) is None
    assert exponent_of(torch.zeros(4, 4)) == 0


@needs_fbgemm
@pytest.mark.parametrize(("outputs", "inputs"), [(96, 160), (160, 96), (1, 33), (1030, 515)])
@pytest.mark.parametrize("biased", [False, True])
def test_the_product_is_that_of_float32(outputs, inputs, biased):
    numbers = weight(outputs, inputs)
    bias = torch.randn(outputs) if biased else None
    made = made_of(numbers, bias)
    for count in (1, 3, 40):
        x = torch.randn(2, count, inputs)
        exact = torch.nn.functional.linear(x.double(), numbers.double(), None if bias is None else bias.double())
        plain = torch.nn.functional.linear(x, numbers, bias)
        ours = made(x)
        assert ours.shape == plain.shape
        assert ours.dtype is torch.float32
        worst = float((plain - exact).abs().max())
        assert float((ours - exact).abs().max()) <= 4 * worst + 1e-6


@needs_fbgemm
@pytest.mark.parametrize(("outputs", "inputs"), [(96, 160), (160, 96)])
def test_a_row_comes_out_the_same_beside_others(outputs, inputs):
    made = made_of(weight(outputs, inputs))
    x = torch.randn(17, inputs)
    together = made(x)
    for i in range(17):
        torch.testing.assert_close(made(x[i : i + 1])[0], together[i], rtol=1e-5, atol=1e-6)


@needs_fbgemm
def test_rows_may_lie_in_memory_as_they_like():
    made = made_of(weight(96, 160))
    for count in (1, 3, 40):
        x = torch.randn(1, count, 160)
        for there in (x.mT.contiguous().mT, torch.nn.functional.pad(x, (3, 5))[..., 3:-5]):
            torch.testing.assert_close(made(there), made(x), rtol=1e-5, atol=1e-5)


@needs_fbgemm
@pytest.mark.parametrize(("outputs", "inputs"), [(96, 160), (160, 96)])
@pytest.mark.parametrize("biased", [False, True])
def test_it_gives_its_numbers_back_and_can_be_stacked_and_added(outputs, inputs, biased):
    parts = [weight(outputs, inputs, seed=seed) * 2.0 ** (3 * seed) for seed in range(3)]
    bias = torch.randn(outputs) if biased else None
    linears = [made_of(numbers, bias) for numbers in parts]
    for numbers, linear in zip(parts, linears, strict=True):
        assert torch.equal(linear.numbers(), numbers)
    whole = stack(linears)
    assert type(whole) is HalfLinear
    assert torch.equal(whole.numbers(), torch.cat(parts))
    x, there = torch.randn(4, inputs), torch.randn(4, outputs)
    torch.testing.assert_close(whole(x), torch.cat([one(x) for one in linears], -1), rtol=1e-5, atol=1e-5)
    before = there.clone()
    torch.testing.assert_close(add_product(linears[1], x, there), there + linears[1](x), rtol=1e-5, atol=1e-5)
    assert torch.equal(there, before)
    assert linears[0].weight.shape == (outputs, inputs)
    assert linears[0].weight.isnan().all()


@needs_fbgemm
def test_float32_takes_16_bits_for_weights_that_fit_only(monkeypatch):
    monkeypatch.setattr("engine.kernels.linears.format.halving_pays", lambda: True)
    made = LinearFormat("float32")
    assert type(made.make(weight(64, 96), None)) is HalfLinear
    assert type(made.make(weight(64, 96, torch.float32), None)) is not HalfLinear
    assert type(LinearFormat("bf16").make(weight(64, 96).bfloat16(), None)) is not HalfLinear


@needs_fbgemm
@pytest.mark.usefixtures("tried_anew")
def test_a_product_that_is_wrong_is_not_used(monkeypatch, caplog):
    monkeypatch.setattr("engine.kernels.linears.format.halving_pays", lambda: True)
    right = fbgemm.half_product
    monkeypatch.setattr(fbgemm, "half_product", lambda rows, packed: right(rows, packed).flip(-1))
    made = LinearFormat("float32")
    assert type(made.make(weight(64, 96), None)) is not HalfLinear
    assert "off by" in caplog.text
    assert not half.halving_pays()


@pytest.mark.usefixtures("tried_anew")
def test_without_the_operator_float32_stays_as_it_is(monkeypatch):
    def missing(*_):
        raise RuntimeError("no such operator")

    monkeypatch.setattr(fbgemm, "pack_half", missing)
    assert not half.halving_pays()
    made = LinearFormat("float32").make(weight(64, 96), None)
    assert type(made) is not HalfLinear


@needs_fbgemm
def test_an_error_in_a_few_outputs_is_found():
    numbers = weight(64, 96)
    assert is_right(made_of(numbers), numbers)
    other = numbers.clone()
    other[63] = -other[63]
    assert not is_right(made_of(other), numbers)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_table_gives_the_vectors_to_the_last_digit(dtype):
    numbers = weight(500, 64, dtype)
    made = HalfTable.of(numbers)
    assert made is not None
    ids = torch.tensor([[0, 7, 499], [3, 3, 1]])
    assert torch.equal(made(ids), numbers[ids])
    assert made.weight.dtype is torch.float32
    assert HalfTable.of(weight(500, 64, torch.float32)) is None


_ASK = """
import ctypes, pathlib, torch
from engine.kernels.linears import fbgemm
can = fbgemm.available()
path = pathlib.Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
print(can, ctypes.CDLL(str(path))._ZN6fbgemm20fbgemmInstructionSetEv())
"""


@needs_fbgemm
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a cap leaves FBGEMM out")
@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("ATEN_CPU_CAPABILITY", "avx2", {"True 1"}), ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE", {"True 1", "True 2"})],
)
def test_a_cap_on_the_instructions_reaches_fbgemm(name, value, expected):
    env = {**os.environ, name: value}
    done = subprocess.run([sys.executable, "-c", _ASK], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() in expected


def test_where_no_vectors_are_allowed_fbgemm_is_left_out(monkeypatch):
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    assert not fbgemm.available.__wrapped__()
