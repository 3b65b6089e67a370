"""What the machine that runs the tests cannot do, and no test can show there."""

from __future__ import annotations

import pytest
import torch

from engine.kernels.linears.packed import PackedLinear


def need_packing(dtype: torch.dtype) -> None:
    """Skip the test where oneDNN packs no weights of ``dtype``: without AVX-512, those of bfloat16."""
    try:
        PackedLinear(torch.zeros(16, 16, dtype=dtype), None)
    except RuntimeError as error:
        if dtype is torch.float32:
            raise
        pytest.skip(f"this machine packs no such weights: {error}")
