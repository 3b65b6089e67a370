"""Weights that were 4 bits in their file: int4 holds them as they are."""

from __future__ import annotations

import pytest
import torch

from engine.kernels.linears.format import LinearFormat
from engine.kernels.linears.int4 import Int4Linear, works


@pytest.mark.skipif(not works(), reason="this PyTorch has no operators for int4")
def test_blocks_of_four_bits_are_held_as_they_are_in_groups_of_32():
    whole = torch.randint(0, 16, (128, 6, 32))
    whole[..., 3], whole[..., 20] = 0, 15  # Q4_1 takes scale and minimum from the ends of a block
    weight = (whole * (0.1 + torch.rand(128, 6, 1)) + torch.randn(128, 6, 1)).view(128, 192)
    made, other = LinearFormat("int4"), LinearFormat("int4")
    from_file, rounded = made.make(weight, None), other.make(torch.randn(128, 192), None)
    assert isinstance(from_file, Int4Linear)
    assert isinstance(rounded, Int4Linear)
    assert (made.repacked, from_file.numbers.group) == (True, 32)
    assert (other.repacked, rounded.numbers.group) == (False, 64)
    rows = torch.randn(9, 192)
    meant = rows @ weight.T
    assert (from_file(rows) - meant).square().mean().sqrt() < 0.01 * meant.square().mean().sqrt()
