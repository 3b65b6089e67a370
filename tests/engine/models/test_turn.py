"""Inputs turned before they are rounded: the same product, and outliers cost it little; factors come from the model."""

from __future__ import annotations

import pytest
import torch

from engine.kernels.linears.int8 import Int8Linear, quantise_weight
from engine.kernels.linears.int8_kernels import Int8Kernels
from engine.kernels.linears.smoothing import WORTH, measure
from engine.kernels.linears.stacked import stack
from engine.kernels.linears.turn import BLOCK, Turn

FACTORS = torch.tensor([0.25, 1.0, 8.0, 2.0]).repeat(3 * BLOCK // 4)


def outliers(tokens: int, width: int) -> torch.Tensor:
    """Rows as trained models have them: three channels a hundred times as large as the others."""
    rows = torch.randn(tokens, width, generator=torch.Generator().manual_seed(1))
    rows[:, [5, width // 2, width - 9]] *= 100
    return rows


def error(made: torch.Tensor, meant: torch.Tensor) -> float:
    return float((made - meant).square().mean().sqrt() / meant.square().mean().sqrt())


@pytest.mark.parametrize("factors", [None, FACTORS])
def test_a_turned_product_is_the_same_product(factors):
    turn = Turn.of(3 * BLOCK, factors, torch.float32)
    rows, weight = torch.randn(7, 3 * BLOCK), torch.randn(11, 3 * BLOCK)
    torch.testing.assert_close(turn.rows(rows) @ turn.weight(weight).T, rows @ weight.T, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(turn.back(turn.weight(weight)), weight)


def test_turning_rounds_nothing_in_bfloat16_but_its_result():
    rows = torch.randn(64, 3 * BLOCK).bfloat16()
    exact = Turn(FACTORS, torch.float32).rows(rows.float())
    assert torch.equal(Turn(FACTORS, torch.bfloat16).rows(rows), exact.bfloat16())


def test_inputs_that_come_to_no_whole_blocks_are_left_alone():
    assert Turn.of(3 * BLOCK + 8, None, torch.float32) is None
    assert not Int8Linear(torch.randn(16, 40), None, Int8Kernels.find()).turns


def test_outliers_do_not_set_the_step_of_all_other_channels():
    """A row of one step: without the turn everything but the outliers would be lost in it."""
    rows, weight = outliers(40, 256), torch.randn(64, 256)
    weight[:, [5, 128, 247]] /= 100  # what the others say counts as much
    meant = rows @ weight.T
    step = rows.abs().amax(-1, True) / 127
    plainly = (rows / step).round() * step @ weight.T
    turned = Int8Linear(weight, None, Int8Kernels.find())
    group = measure(torch.nn.Sequential(turned), lambda: turned(rows))
    factors = group.factors["0"]
    smoothed = Int8Linear(weight, None, Int8Kernels.find(), factors=factors)
    errors = [error(made, meant) for made in (plainly, turned(rows), smoothed(rows))]
    assert errors[1] < 0.5 * errors[0]
    assert errors[2] < 0.3 * errors[1]
    assert group.noise < 0.1
    assert torch.equal(factors.log2(), factors.log2().round())


def test_linears_of_the_same_rows_get_the_same_factors_and_others_their_own():
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.three = (
                Int8Linear(torch.randn(64, 64), None, Int8Kernels.find(), siblings=1) for _ in range(3)
            )

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return self.three(self.one(rows) * self.two(rows))

    model = Model()
    found = measure(model, lambda: [model(outliers(9, 64)) for _ in range(2)])
    assert found.factors["one"] is found.factors["two"]
    assert not torch.equal(found.factors["one"], found.factors["three"])
    one, two, three = (
        Int8Linear(torch.randn(64, 64), None, Int8Kernels.find(), factors=found.factors[name])
        for name in ("one", "two", "three")
    )
    assert stack([one, three]) is None
    both = stack([one, two])
    rows = outliers(9, 64)
    assert torch.equal(both(rows), torch.cat((one(rows), two(rows)), -1))


def test_a_model_without_outliers_is_not_read_twice_for_them():
    linear = Int8Linear(torch.randn(128, 128), None, Int8Kernels.find())
    assert measure(torch.nn.Sequential(linear), lambda: linear(torch.randn(200, 128))).noise > WORTH


def test_a_weight_is_given_back_as_it_was_up_to_its_rounding():
    weight = torch.randn(40, 3 * BLOCK)
    held = quantise_weight(weight, factors=FACTORS)
    assert error(held.floats(slice(8, 40)) * FACTORS, weight[8:] * FACTORS) < 0.02
    assert torch.allclose(held.columns, weight.square().sum(0), rtol=1e-5)
