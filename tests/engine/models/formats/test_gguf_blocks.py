"""Blocks become the numbers that llama.cpp's own package makes of them (make_block_samples.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.models.formats.gguf.block_types import BLOCK_TYPES
from engine.models.formats.gguf.blocks import numbers

SAMPLES = np.load(Path(__file__).with_name("block_samples.npz"))
PACKED = {number: kind for number, kind in BLOCK_TYPES.items() if kind.numbers > 1}


@pytest.mark.parametrize("number", PACKED, ids=lambda number: PACKED[number].name)
def test_blocks_are_the_numbers_that_llama_cpp_says(number):
    kind = PACKED[number]
    blocks, expected = SAMPLES[f"{kind.name} blocks"], SAMPLES[f"{kind.name} values"]
    assert blocks.shape == (3, kind.bytes)
    assert expected.shape == (3, kind.numbers)
    made = numbers(torch.from_numpy(blocks.reshape(-1)), number, kind.name).numpy().reshape(expected.shape)
    np.testing.assert_allclose(made, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("number", "dtype"), [(0, torch.float32), (1, torch.float16), (30, torch.bfloat16)])
def test_plain_numbers_stay_what_they_are(number, dtype):
    values = torch.linspace(-3, 3, 64).to(dtype)
    made = numbers(values.view(torch.uint8), number, BLOCK_TYPES[number].name)
    assert torch.equal(made, values.float())
