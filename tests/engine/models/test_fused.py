"""Operations joined into one: only where they compute the same, and whatever asks otherwise stays."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm

from engine.inference.fused import fuse
from engine.kernels.fused import norm
from engine.kernels.linears.packed import PackedLinear


@pytest.fixture(autouse=True)
def _always_pays(monkeypatch):
    monkeypatch.setattr(norm, "in_turns", lambda _functions, _turns: [1.0, 2.0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_norm_becomes_one_operation_with_the_same_result(dtype):
    torch.manual_seed(0)
    home = torch.nn.Sequential(LlamaRMSNorm(96, 1e-6)).to(dtype).requires_grad_(False)
    home[0].weight.copy_(torch.rand(96))
    x = torch.randn(5, 96).to(dtype)
    before = home(x)
    assert fuse(home) == 1
    assert isinstance(home[0], norm.FusedNorm)
    torch.testing.assert_close(home(x), before, rtol=2e-2 if dtype is torch.bfloat16 else 1e-5, atol=1e-5)
    alone = home(x[:1])  # one row goes another way
    torch.testing.assert_close(alone, before[:1], rtol=2e-2 if dtype is torch.bfloat16 else 1e-5, atol=1e-5)


def test_one_row_of_a_norm_is_the_same_however_large_its_numbers_are():
    home = torch.nn.Sequential(LlamaRMSNorm(96, 1e-6)).requires_grad_(False)
    x = torch.randn(1, 96) * torch.logspace(-4, 4, 96)
    before = home(x)
    assert fuse(home) == 1
    torch.testing.assert_close(home(x), before, rtol=1e-5, atol=1e-6)
    assert torch.equal(home(torch.zeros(1, 96)), torch.zeros(1, 96))


@pytest.mark.parametrize("rows", [1, 5])
def test_rows_in_float32_between_layers_in_bf16_are_rounded_as_the_family_rounds_them(rows):
    home = torch.nn.Sequential(LlamaRMSNorm(96, 1e-6)).bfloat16().requires_grad_(False)
    home[0].weight.copy_(torch.rand(96))
    x = torch.randn(rows, 96)
    before = home(x)
    assert fuse(home) == 1
    assert torch.equal(home(x), before)


def test_a_norm_that_adds_one_to_its_weight_stays():
    home = torch.nn.Sequential(GemmaRMSNorm(64)).requires_grad_(False)
    assert fuse(home) == 0


def mlp(act):
    config = LlamaConfig(hidden_size=64, intermediate_size=128, hidden_act=act)
    made = LlamaMLP(config).requires_grad_(False)
    gate = made.gate_proj
    setattr(made, "gate_proj", PackedLinear(gate.weight, gate.bias))  # noqa: B010 - of another class, as at load
    return made


def test_a_packed_gate_applies_the_silu_that_follows_it():
    torch.manual_seed(1)
    block = mlp("silu")
    x = torch.randn(5, 64)
    before = block(x)
    assert fuse(torch.nn.Sequential(block)) == 1
    assert block.gate_proj.after == ("swish", "")
    torch.testing.assert_close(block(x), before, rtol=1e-4, atol=1e-5)


def test_another_activation_stays():
    block = mlp("gelu")
    assert fuse(torch.nn.Sequential(block)) == 0
    assert block.gate_proj.after == ("none", "")


def test_a_gate_that_is_used_in_another_way_stays():
    class Odd(LlamaMLP):
        def forward(self, x):
            return self.down_proj(self.gate_proj(x) * self.act_fn(self.up_proj(x)))

    block = mlp("silu")
    block.__class__ = Odd
    act = block.act_fn
    assert fuse(torch.nn.Sequential(block)) == 0
    assert block.act_fn is act
    assert block.gate_proj.after == ("none", "")
