"""Blocks of whole numbers turned into floats. transformers has most kinds of blocks; Q5_0 and Q5_1 are here."""

from __future__ import annotations

import torch
from transformers.integrations.gguf.dequant import dequantize

_FLOATS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def numbers(data: torch.Tensor, number: int, name: str) -> torch.Tensor:
    """Return the float32 numbers, flat, in ``data``: flat bytes of whole blocks of ggml's type ``number``, called ``name``."""
    if name in _FLOATS:
        return data.view(_FLOATS[name]).float()
    if name == "Q5_0":
        return _five_bits(data.view(-1, 22), 2, -16)
    if name == "Q5_1":
        return _five_bits(data.view(-1, 24), 4, 0)
    return dequantize(data, number, torch.float32)


def _five_bits(blocks: torch.Tensor, head: int, middle: int) -> torch.Tensor:
    """Return 32 numbers a block: scale (float16), minimum (float16, where ``head`` is 4), fifth bits, four lower bits.

    Number i has its lower bits in half byte i: the lower halves of all 16 bytes first, then the upper ones; and its fifth
    in bit i of the four bytes before (ggml-quants.c, dequantize_row_q5_0 and _1).
    """
    scale = blocks[:, 0:2].contiguous().view(torch.float16).float()
    low = blocks[:, head + 4 :]
    four = torch.cat((low & 15, low >> 4), dim=1)
    bit = torch.arange(8, dtype=torch.uint8)
    fifth = ((blocks[:, head : head + 4, None] >> bit) & 1).reshape(-1, 32)
    whole = (four | (fifth << 4)).float() + middle
    if head == 4:
        return (whole * scale + blocks[:, 2:4].contiguous().view(torch.float16).float()).reshape(-1)
    return (whole * scale).reshape(-1)
