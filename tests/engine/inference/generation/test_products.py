"""Attention in plain products equals the fused kernel, and whole generations over it equal ``generate()``."""

from __future__ import annotations

import generation_oracle as oracle
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from engine.inference.generation import attention
from engine.inference.generation.products import Order, causal_blocks, decode_order, decode_products, trial_shape

HEADS = [(9, 3, 64), (14, 2, 64), (4, 4, 32), (8, 1, 48)]


@pytest.mark.parametrize(("heads", "kv_heads", "dim"), HEADS)
@pytest.mark.parametrize(("tokens", "past"), [(1, 0), (63, 0), (64, 64), (130, 7)])
def test_a_prompt_piece_in_blocks_equals_the_fused_kernel(heads, kv_heads, dim, tokens, past):
    generator = torch.Generator().manual_seed(1)
    query = torch.randn(1, heads, tokens, dim, generator=generator)
    key = torch.randn(1, kv_heads, past + tokens, dim, generator=generator)
    value = torch.randn(1, kv_heads, past + tokens, dim // 2, generator=generator)
    behind = torch.ones(tokens, past + tokens, dtype=torch.bool).tril_(past)
    expected = scaled_dot_product_attention(query, key, value, attn_mask=behind, scale=0.2, enable_gqa=True)
    torch.testing.assert_close(causal_blocks(query, key, value, 0.2), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("heads", "kv_heads", "dim"), HEADS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("order", list(Order))
def test_decode_rows_in_products_equal_the_fused_kernel(heads, kv_heads, dim, dtype, masked, order):
    generator = torch.Generator().manual_seed(2)
    slots, capacity, first, last = 5, 96, 16, 80
    query = torch.randn(slots, heads, dim, generator=generator).to(dtype)
    key = torch.randn(slots + 3, kv_heads, capacity, dim, generator=generator).to(dtype)[2:-1, :, first:last]
    value = torch.randn(slots + 3, kv_heads, capacity, dim // 2, generator=generator).to(dtype)[2:-1, :, first:last]
    mask = None
    if masked:
        mask = torch.zeros(slots, 1, 1, last - first)
        for slot in range(slots):
            mask[slot, :, :, 9 * slot + 1 :] = float("-inf")
    rows = query.float().view(slots, heads, 1, dim)
    expected = scaled_dot_product_attention(
        rows, key.float(), value.float(), attn_mask=mask, scale=0.2, enable_gqa=True
    )[:, :, 0]
    room = 1e-4 if dtype == torch.float32 else 0.03
    made = decode_products(query, key, value, mask, 0.2, order)
    assert made.dtype == dtype
    torch.testing.assert_close(made.float(), expected, rtol=room, atol=room)


@pytest.fixture
def fresh_orders():
    decode_order.cache_clear()
    yield
    decode_order.cache_clear()


class _Seen(Exception):
    """Ends a trial."""


@pytest.mark.usefixtures("fresh_orders")
@pytest.mark.parametrize("order", list(Order))
def test_the_fastest_order_is_chosen_and_none_that_differs_from_the_fused_kernel(order, monkeypatch):
    from engine.inference.generation import products

    orders = list(Order)
    times = [1.0 if one is order else 2.0 for one in orders] + [1.5]
    monkeypatch.setattr(products, "in_turns", lambda ways, _turns: times[-len(ways) :])
    assert decode_order(9, 3, 16, torch.float32, 1) is order

    decode_order.cache_clear()
    right = products.decode_products

    def wrong(query, *rest):
        return torch.zeros_like(query) if rest[-1] is order else right(query, *rest)

    monkeypatch.setattr(products, "decode_products", wrong)
    assert decode_order(9, 3, 16, torch.float32, 1) is not order


@pytest.mark.usefixtures("fresh_orders")
def test_no_order_is_chosen_where_the_fused_kernel_is_faster(monkeypatch):
    from engine.inference.generation import products

    monkeypatch.setattr(products, "in_turns", lambda ways, _turns: [2.0] * (len(ways) - 1) + [1.0])
    assert decode_order(9, 3, 16, torch.float32, 1) is None


@pytest.mark.usefixtures("fresh_orders")
@pytest.mark.parametrize("number", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("kv_heads", [1, 2, 8, 32, 128])
def test_the_trial_of_decode_rows_takes_no_more_than_forty_megabytes_of_keys(kv_heads, number, monkeypatch):
    from engine.inference.generation import products

    taken = set()

    def attend(_rows, key, value, **_):
        taken.update(tensor.untyped_storage() for tensor in (key, value))
        raise _Seen

    monkeypatch.setattr(products, "scaled_dot_product_attention", attend)
    with pytest.raises(_Seen):
        decode_order(kv_heads * 2, kv_heads, 128, number, 1)
    layers, slots, columns = trial_shape(kv_heads, 128, number.itemsize)
    assert 1 <= layers <= 8
    assert 1 <= slots <= 16
    (block,) = {storage.data_ptr(): storage.nbytes() for storage in taken}.values()
    assert block == layers * 2 * slots * kv_heads * columns * 128 * number.itemsize <= 40 << 20


@pytest.mark.parametrize("order", [*Order, None])
@pytest.mark.parametrize("family", ["llama", "qwen2", "mistral", "gemma3_text", "gpt2", "gpt_oss"])
def test_tokens_equal_generate_whichever_way_pays(family, order, monkeypatch):
    """Which of them runs is measured, so both are tried; gpt_oss has sinks and must use neither."""
    used = []

    def choose(answer):
        return lambda *_: (used.append(answer), answer)[1]

    monkeypatch.setattr(attention, "decode_order", choose(order))
    monkeypatch.setattr(attention, "blocks_pay", choose(order is not None))
    monkeypatch.setattr(attention, "MANY", 1)
    oracle.check(family, [oracle.Case(1, 3, 16, True), oracle.Case(2, 8, oracle.WHOLE, False)])
    assert bool(used) == (family != "gpt_oss")
