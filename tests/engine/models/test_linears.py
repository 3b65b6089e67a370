"""Linears of every number format: right within their rounding, and the same row whatever stands beside it."""

from __future__ import annotations

import pytest
import torch
from machine_can import need_packing

from engine.kernels.linears import fbgemm, int4, int8, int8_kernels, rows
from engine.kernels.linears.format import LinearFormat, replace_linears, settle_tables
from engine.kernels.linears.int8 import Int8Linear
from engine.kernels.linears.int8_kernels import Int8Kernels
from engine.kernels.linears.onto import add_product
from engine.kernels.linears.packed import PackedLinear
from engine.kernels.linears.stacked import stack
from engine.kernels.linears.table import Int4Table, Int8Table

KERNELS = Int8Kernels.find()


def error(ours, theirs):
    """RMS error in units of the reference's standard deviation."""
    return float((ours.double() - theirs.double()).square().mean().sqrt() / theirs.double().std())


def plain(outputs, inputs, dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    return torch.nn.Linear(inputs, outputs).to(dtype).requires_grad_(False)


VARIANTS = {
    "found": KERNELS,
    "no operator": Int8Kernels(0, few=False),
    "seven bits": Int8Kernels(63, few=False),
    "few rows apart": Int8Kernels(63, few=True),
}
if fbgemm.available():
    VARIANTS["FBGEMM"] = Int8Kernels(63, few=False, fbgemm=True)
    VARIANTS["FBGEMM, filled"] = Int8Kernels(63, few=False, fbgemm=True, filling=True)


@pytest.fixture(autouse=True)
def _small_weights_count_as_large(monkeypatch):
    monkeypatch.setattr(int8_kernels, "_LARGE", 0)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("count", [1, 3, 40])
def test_an_int8_linear_is_right_within_its_rounding(variant, dtype, count):
    kernels = VARIANTS[variant]
    linear = plain(96, 160, dtype)
    made = Int8Linear(linear.weight, linear.bias, kernels, keep_both=True)
    x = torch.randn(2, count, 160).to(dtype)
    ours = made(x)
    assert ours.shape == (2, count, 96)
    assert ours.dtype == dtype
    assert error(ours, linear.double()(x.double())) < (0.03 if kernels.levels == 63 else 0.02)


def test_a_row_does_not_depend_on_its_neighbours():
    if not KERNELS.levels:
        pytest.skip("this machine has no operator for whole numbers")
    linear = plain(128, 192)
    made = Int8Linear(linear.weight, linear.bias, Int8Kernels(KERNELS.levels, few=False))
    x = torch.randn(33, 192) * torch.logspace(-3, 3, 33)[:, None]
    together = made(x)
    for i in range(33):
        assert torch.equal(made(x[i : i + 1])[0], together[i])


@pytest.mark.skipif(not fbgemm.available(), reason="this machine has no FBGEMM")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("variant", ["FBGEMM", "FBGEMM, filled"])
def test_a_row_does_not_depend_on_its_neighbours_in_fbgemm(variant, dtype):
    linear = plain(128, 192, dtype)
    made = Int8Linear(linear.weight, linear.bias, VARIANTS[variant], keep_both=True)
    x = (torch.randn(33, 192) * torch.logspace(-3, 3, 33)[:, None]).to(dtype)
    together = made(x)
    for i in range(33):
        assert torch.equal(made(x[[i, 0]])[0], together[i])
        # A row alone takes another way to the same whole numbers: what is left is the rounding of a scale, and that one
        # number in the middle between two steps (of a row in bfloat16, turned) may take the other one.
        step = 0.0 if dtype is torch.float32 else float(x[i].abs().max() * made.numbers().scale.max())
        torch.testing.assert_close(made(x[i : i + 1])[0].float(), together[i].float(), rtol=2**-7, atol=step)


@pytest.mark.skipif(not fbgemm.available(), reason="this machine has no FBGEMM")
def test_gaps_are_filled_where_they_are_wide_and_rows_are_few(monkeypatch):
    filling = VARIANTS["FBGEMM, filled"]
    shapes = [(9728, 512), (9728, 896), (896, 896), (9728, 1536), (1536, 8960), (4096, 4096)]
    assert [filling.gap(*shape) for shape in shapes] == [0, 128, 128, 0, 0, 0]
    assert VARIANTS["FBGEMM"].gap(9728, 896) == 0
    monkeypatch.setattr(int8_kernels, "_LARGE", 1 << 21)
    assert [filling.gap(*shape) for shape in shapes] == [0, 128, 0, 0, 0, 0]
    monkeypatch.setattr(int8_kernels, "_LARGE", 0)
    weight = plain(64, 896).weight
    usual, both, output = (
        Int8Linear(weight, None, filling, keep_both=keep_both, output=output)
        for keep_both, output in ((False, False), (True, False), (True, True))
    )
    assert [made.keeps_both for made in (usual, both, output)] == [False, True, False]
    assert all(torch.equal(made.numbers().numbers, usual.numbers().numbers) for made in (both, output))
    x = torch.randn(40, 896)
    for count in (1, 4, 5, 40):
        assert torch.equal(both(x[:count]), usual(x[:count]))
        assert torch.equal(output(x[:count]), usual(x[:count]))


@pytest.mark.parametrize("variant", VARIANTS)
def test_rows_of_zeros_and_of_one_spike_come_through(variant):
    linear = plain(64, 64)
    made = Int8Linear(linear.weight, linear.bias, VARIANTS[variant], keep_both=True)
    x = torch.zeros(2, 64)
    x[1, 5] = 1e4
    for ours in (made(x), torch.cat([made(x[:1]), made(x[1:])])):
        torch.testing.assert_close(ours[0], linear.bias.data, rtol=0, atol=1e-6)
        assert error(ours[1], linear(x)[1]) < 0.03


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_not_a_number_stays_none(variant):
    made = Int8Linear(plain(64, 64).weight, None, VARIANTS[variant], keep_both=True)
    x = torch.ones(2, 64)
    x[0, 3] = float("nan")
    ours = made(x)
    assert ours[0].isnan().all()
    assert ours[1].isfinite().all()
    assert made(x[:1]).isnan().all()


def test_siblings_share_what_was_made_of_the_same_tensor_only():
    first, second = plain(64, 64, seed=1), plain(64, 64, seed=2)
    home = object()
    one = Int8Linear(first.weight, None, KERNELS, siblings=home)
    two = Int8Linear(second.weight, None, KERNELS, siblings=home)
    x, y = torch.randn(5, 64), torch.randn(5, 64)
    apart = Int8Linear(second.weight, None, KERNELS)
    one(x)
    assert torch.equal(two(x), apart(x))
    assert torch.equal(two(y), apart(y))


def test_whole_numbers_are_rounded_to_the_nearest():
    x = torch.tensor([[-127.0, -1.5, -0.5, 0.4, 0.6, 126.6, 127.0]])
    whole, largest = rows.quantise_rows(x, 127)
    assert largest.item() == 127
    assert (whole.int() - 128).tolist() == [[-127, -2, 0, 0, 1, 127, 127]]


@pytest.mark.parametrize("levels", [63, 127])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_few_rows_become_the_same_whole_numbers(levels, dtype):
    torch.manual_seed(6)
    x = (torch.randn(40, 97) * torch.logspace(-5, 5, 40)[:, None]).to(dtype)
    x[3] = torch.linspace(-1, 1, 97).to(dtype)
    x[4] = 0
    x[5] = torch.arange(97) / 2  # halves: to the even one, in both
    many, most = rows.quantise_rows(x, levels)
    few, largest = rows.quantise_few(x, levels)
    assert torch.equal(few.float(), many.float() - (levels + 1))
    assert torch.equal(most, largest)


@pytest.mark.usefixtures("tried_anew")
def test_an_operator_that_overflows_is_found_out(monkeypatch):
    monkeypatch.setattr(int8_kernels, "_product", lambda rows, *_: torch.full((rows.shape[0], 64), 32767.0))
    monkeypatch.setattr(fbgemm, "int8_product", lambda rows, *_: torch.full((rows.shape[0], 64), 32767.0))
    assert Int8Kernels.find() == Int8Kernels(0, few=False)


@pytest.mark.usefixtures("tried_anew")
def test_without_the_operators_int8_and_int4_still_work(monkeypatch):
    def missing(*_):
        raise RuntimeError("no such operator")

    monkeypatch.setattr(int8_kernels, "_prepack", missing)
    monkeypatch.setattr(fbgemm, "pack_int8", missing)
    monkeypatch.setattr(int4, "_pack", missing)
    linear = plain(64, 128)
    x = torch.randn(3, 128)
    made = LinearFormat("int4").make(linear.weight, linear.bias)
    assert isinstance(made, Int8Linear)
    assert error(made(x), linear(x)) < 0.02


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("group", int4.GROUPS)
def test_an_int4_linear_is_right_within_its_rounding(dtype, group):
    if not int4.works():
        pytest.skip("this machine has no operator for int4")
    linear = plain(64, group * 3, dtype)
    made = int4.Int4Linear(int4.quantise_weight(linear.weight, group), linear.bias)
    x = torch.randn(2, 7, group * 3).to(dtype)
    assert made(x).shape == (2, 7, 64)
    assert error(made(x), linear.double()(x.double())) < 0.12


@pytest.mark.parametrize(("outputs", "inputs"), [(896, 4864), (1200, 896), (16, 128), (80, 32)])
def test_an_int4_linear_that_is_packed_in_pieces_is_right(outputs, inputs):
    if not int4.works():
        pytest.skip("this machine has no operator for int4")
    torch.manual_seed(3)
    weight = torch.randn(outputs, inputs)
    made = int4.Int4Linear(int4.quantise_weight(weight, int4.group_of(outputs, inputs)), None)
    x = torch.randn(5, inputs).bfloat16()
    assert error(made(x).float(), x.float() @ weight.T) < 0.12


def test_an_int4_linear_that_is_not_its_weight_is_not_used(monkeypatch):
    if not int4.works():
        pytest.skip("this machine has no operator for int4")
    made = LinearFormat("int4")
    right = int4._pack
    monkeypatch.setattr(int4, "_pack", lambda whole: right(whole.flip(0)))
    assert type(made.make(torch.randn(128, 64), None)) is Int8Linear
    assert type(made.make(torch.randn(64, 64), None)) is Int8Linear


def test_int4_groups_stand_for_what_they_were_made_of():
    torch.manual_seed(3)
    weight = torch.randn(32, 128)
    whole, scales = int4.quantise_groups(weight, 64)
    meant = (whole.view(32, 2, 64) - 8) * scales[:, :, :1].transpose(0, 1) + scales[:, :, 1:].transpose(0, 1)
    step = scales[:, :, 0].max()
    assert (meant.view(32, 128) - weight).abs().max() <= 0.55 * step + 0.02


def test_shapes_that_int4_does_not_take_become_int8():
    assert int4.group_of(64, 96) == 32
    assert int4.group_of(63, 128) == 0
    made = LinearFormat("int4").make(torch.randn(63, 128), None)
    assert isinstance(made, Int8Linear)


def test_the_table_gives_the_vectors_of_its_tokens():
    torch.manual_seed(4)
    plain_table = torch.nn.Embedding(500, 64).requires_grad_(False)
    made = Int8Table(int8.quantise_weight(plain_table.weight))
    ids = torch.tensor([[0, 7, 499], [3, 3, 1]])
    assert made(ids).shape == (2, 3, 64)
    assert error(made(ids), plain_table(ids)) < 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_int4_table_gives_what_its_groups_stand_for(dtype):
    torch.manual_seed(4)
    weight = torch.randn(500, 96).to(dtype)
    made = Int4Table(int8.quantise_weight(weight))
    ids = torch.tensor([[0, 7, 499], [3, 3, 1]])
    assert made(ids).shape == (2, 3, 96)
    assert made(ids).dtype == made.weight.dtype == dtype
    parts = weight.float().view(500, 3, 32)
    step = (parts.amax(-1) - parts.amin(-1)) / 15
    off = (made(torch.arange(500)).float() - weight.float()).view(500, 3, 32).abs().amax(-1)
    assert bool((off <= 0.6 * step + 0.04).all())  # half a step, and what int8 and bfloat16 round


class Tied(torch.nn.Module):
    def __init__(self, words=96):
        super().__init__()
        self.table, self.inner, self.head = torch.nn.Embedding(words, 64), plain(64, 64), plain(words, 64)
        self.head.weight = self.table.weight
        self.requires_grad_(False)

    def get_input_embeddings(self):
        return self.table

    def get_output_embeddings(self):
        return self.head


@pytest.mark.parametrize("name", ["float32", "int8", "int4"])
def test_a_tied_output_gets_a_weight_of_its_own_and_whole_formats_a_table(name):
    torch.manual_seed(5)
    model = Tied()
    ids, x = torch.arange(9), torch.randn(4, 64)
    before = model.table(ids), model.head(x)
    made = LinearFormat(name)
    replace_linears(model, made)
    settle_tables(model, made)
    assert made.replaced == sum(type(m) is not torch.nn.Linear for m in (model.inner, model.head))
    assert name == "float32" or made.replaced == 2  # whether packing floats pays is measured
    assert type(model.table) is {"int8": Int8Table, "int4": Int4Table}.get(name, torch.nn.Embedding)
    assert error(model.table(ids), before[0]) < (0.1 if name == "int4" else 0.01)
    assert error(model.head(x), before[1]) < 0.02


@pytest.mark.parametrize("kernels", [KERNELS, Int8Kernels(KERNELS.levels, few=True), Int8Kernels(0, few=False)])
def test_an_output_that_keeps_its_rows_still_has_them_when_the_int4_table_is_made(kernels):
    """The table lets go of the int8 numbers page by page as it reads them, unless the output computes with them."""
    torch.manual_seed(5)
    model = Tied(1000)
    x = torch.randn(3, 64)
    ids = torch.arange(1000)
    before = model.table(ids), model.head(x)
    made = LinearFormat("int4")
    made._kernels = kernels
    made._keep_both = True
    settle_tables(model, made)
    assert type(model.table) is Int4Table
    assert error(model.table(ids), before[0]) < 0.1
    assert error(model.head(x), before[1]) < 0.03


def test_whoever_computes_with_a_stand_in_gets_nothing_of_use():
    made = Int8Linear(plain(64, 32, torch.bfloat16).weight, None, KERNELS)
    assert made.weight.shape == (64, 32)
    assert made.weight.dtype is torch.bfloat16
    assert made.weight.isnan().all()


def made_in(name, linear):
    if name == "plain":
        return linear
    if name == "packed":
        return PackedLinear(linear.weight, linear.bias)
    if name == "int4":
        return int4.Int4Linear(int4.quantise_weight(linear.weight, 64), linear.bias)
    return Int8Linear(linear.weight, linear.bias, VARIANTS[name], keep_both=True)


@pytest.mark.parametrize("name", ["plain", "packed", "int4", *VARIANTS])
def test_stacked_linears_compute_what_they_computed_alone(name):
    if name == "int4" and not int4.works():
        pytest.skip("this machine has no operator for int4")
    linears = [plain(outputs, 128, seed=outputs) for outputs in (128, 64, 48)]
    linears[1].bias = None
    alone = [made_in(name, linear) for linear in linears]
    x = torch.randn(7, 128)
    expected = torch.cat([one(x) for one in alone], -1)
    whole = stack(alone)
    assert whole is not None
    assert tuple(whole.weight.shape) == (240, 128)
    torch.testing.assert_close(whole(x), expected, rtol=1e-5, atol=1e-5)


def test_what_cannot_be_stacked_is_left():
    first, second = plain(64, 128), plain(64, 128)
    assert stack([first, PackedLinear(second.weight, second.bias)]) is None
    assert stack([first, plain(64, 96)]) is None
    after = PackedLinear(second.weight, second.bias)
    after.after = ("swish", "")
    assert stack([after, after]) is None
    if int4.works():  # a block that is not whole cannot be followed by another
        odd = int4.Int4Linear(int4.quantise_weight(torch.randn(48, 128), 64), None)
        assert stack([odd, odd]) is None


@pytest.mark.parametrize("name", ["plain", "packed", "int4", "found"])
def test_a_product_is_added_to_what_is_there(name):
    if name == "int4" and not int4.works():
        pytest.skip("this machine has no operator for int4")
    made = made_in(name, plain(64, 128))
    x, there = torch.randn(3, 128), torch.randn(3, 64)
    before = there.clone()
    torch.testing.assert_close(add_product(made, x, there), there + made(x), rtol=1e-5, atol=1e-5)
    assert torch.equal(there, before)


LAYOUTS = {
    "turned": lambda x: x.transpose(1, 2).contiguous().transpose(1, 2),
    "a part of wider rows": lambda x: torch.nn.functional.pad(x, (3, 5))[..., 3:-5],
    "every second number": lambda x: torch.stack([x, x], -1)[..., 0],
}
"""How rows ``[1, n, in]`` may lie in memory: state-space models and convolutions turn theirs, splits make parts."""


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["packed", "int4", *VARIANTS])
def test_rows_may_lie_in_memory_as_they_like(name, dtype, layout):
    if name == "int4" and not int4.works():
        pytest.skip("this machine has no operator for int4")
    if name == "packed":
        need_packing(dtype)
    made = made_in(name, plain(96, 192, dtype))
    for count in (1, 2, 40):
        x = torch.randn(1, count, 192).to(dtype)
        there = LAYOUTS[layout](x)
        assert torch.equal(there, x)
        # A row alone may round where many do not; what the rows say is the same.
        assert error(made(there), made(x)) < (1e-5 if dtype is torch.float32 else 0.01)


@pytest.mark.parametrize("inputs", [24, 31, 72, 100])
@pytest.mark.parametrize("variant", VARIANTS)
def test_inputs_that_fill_no_whole_block_are_right_too(variant, inputs):
    linear = plain(48, inputs, seed=inputs)
    made = Int8Linear(linear.weight, linear.bias, VARIANTS[variant], keep_both=True)
    # The operator over plain rows would read what lies behind the last of them, and may end the process.
    assert variant == "no operator" or made.kernels.few == (VARIANTS[variant].few and inputs % 32 == 0)
    for count in (1, 2, 5, 40):
        x = torch.randn(count, inputs)
        assert error(made(x), linear.double()(x.double())) < 0.04
        linear.float()
