"""Joined attentions, MLPs and layers write what the family's own code writes, and whatever is not known stays."""

from __future__ import annotations

import decoder_models
import generation_oracle as oracle
import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaDecoderLayer, LlamaMLP

from engine.inference.fused import joining, single_trial
from engine.inference.fused.attention import JoinedAttention
from engine.inference.fused.body import JoinedBody
from engine.inference.fused.layer import JoinedLayer
from engine.kernels.fused.mlp import JoinedMlp
from engine.kernels.linears import fbgemm
from engine.kernels.linears.format import LinearFormat, replace_linears, settle_tables
from engine.kernels.linears.half import HalfLinear
from engine.kernels.linears.packed import PackedLinear

CASES = [oracle.Case(1, 1, oracle.WHOLE, False), oracle.Case(2, 3, 16, True), oracle.Case(1, 8, 16, True)]

ALL = {JoinedAttention, JoinedMlp, JoinedLayer}

FAMILIES = {
    "llama": ALL,
    "qwen2": ALL,
    "qwen3": ALL,
    "mistral": ALL,
    "smollm3": ALL,
    "gemma2": {JoinedAttention, JoinedMlp},
    "gemma3_text": {JoinedAttention, JoinedMlp},
    "granite": {JoinedAttention, JoinedMlp},
    "olmo2": {JoinedMlp},
    "cohere": {JoinedMlp},
    "starcoder2": {JoinedAttention, JoinedLayer},
    "gpt_oss": {JoinedAttention},
    "qwen3_moe": {JoinedAttention, JoinedLayer},
    "phi3": set(),
    "gpt2": set(),
    "deepseek_v2": {JoinedMlp},
}
"""What is joined in the test models."""


@pytest.fixture(autouse=True)
def _always_pays(monkeypatch):
    for module in (joining, single_trial):
        monkeypatch.setattr(module, "in_turns", lambda _functions, _turns: [1.0, 2.0])


def kinds(model):
    """Return what is joined below the body, which is joined where all of it is: ``test_single.py``."""
    found = {type(vars(module)["forward"]) for module in model.modules() if "forward" in vars(module)}
    return found - {JoinedBody}


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_of_joined_modules_equal_generate(family):
    subject = oracle.changed(decoder_models.make(family), lambda model: joining.join(model, rounded=False))
    assert kinds(subject.model) == FAMILIES[family]
    oracle.check_subject(subject, f"{family}, joined", CASES)


class Packed:
    """Packs every linear, whatever pays here."""

    replaced = 0

    def make(self, weight, bias, *, parent=None):
        self.replaced += 1
        return PackedLinear(weight, bias)


@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma2"])
def test_tokens_of_joined_packed_modules_equal_generate(family):
    def pack_and_join(model):
        replace_linears(model, Packed())
        assert joining.join(model, rounded=False)

    subject = oracle.changed(decoder_models.make(family), pack_and_join)
    assert kinds(subject.model) == FAMILIES[family]
    oracle.check_subject(subject, f"{family}, packed and joined", CASES)


@pytest.mark.skipif(not fbgemm.available(), reason="this machine has no FBGEMM")
@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma2", "gpt_neox", "phi3", "granite"])
def test_tokens_over_16_bits_equal_generate(family, monkeypatch):
    """Float32 over weights that 16 bits hold: linears, the output layer and the table of token vectors."""
    monkeypatch.setattr("engine.kernels.linears.format.halving_pays", lambda: True)

    def halve_and_join(model):
        made = LinearFormat("float32")
        assert replace_linears(model, made)
        settle_tables(model, made)
        assert any(type(module) is HalfLinear for module in model.modules())
        joining.join(model, rounded=False)

    model = decoder_models.make(family)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.bfloat16())
    subject = oracle.changed(model, halve_and_join)
    assert kinds(subject.model) == FAMILIES.get(family, set())
    oracle.check_subject(subject, f"{family}, over 16 bits", CASES)


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma2", "gpt_oss"])
def test_a_joined_model_still_writes_through_generate(family):
    """As in the fallback: a cache, padded batches and the masks of the family's own attention."""
    model = decoder_models.make(family)
    short, long = oracle.prompts()[0], oracle.prompts()[3]
    ids = torch.zeros(2, len(long), dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate((short, long)):
        ids[row, -len(prompt) :] = torch.from_numpy(prompt)
        mask[row, -len(prompt) :] = 1

    def write():
        with torch.inference_mode():
            return model.generate(ids, attention_mask=mask, max_new_tokens=12, do_sample=False, pad_token_id=0)

    before = write()
    assert joining.join(model, rounded=False)
    assert torch.equal(write(), before)


def refused(change):
    """Return what is joined in a llama whose classes were changed."""
    model = decoder_models.make("llama")
    change(model)
    joining.join(model, rounded=False)
    return kinds(model)


def test_an_attention_that_looks_at_positions_stays():
    """Its scale is one for short texts, so that no short text tells it from a known one; its code does."""

    class Scaled(LlamaAttention):
        def forward(self, hidden_states, position_embeddings, attention_mask=None, past_key_values=None, **kwargs):
            longest = kwargs["position_ids"].max() // 100
            return super().forward(
                hidden_states * (1 + longest), position_embeddings, attention_mask, past_key_values, **kwargs
            )

    def change(model):
        for layer in model.model.layers:
            layer.self_attn.__class__ = Scaled

    assert refused(change) == {JoinedMlp}


def test_an_attention_that_turns_in_another_way_stays(monkeypatch):
    """The same names, another rotation: neighbours are pairs instead of halves."""
    from transformers.models.llama import modeling_llama

    def interleaved(x):
        return torch.stack((-x[..., 1::2], x[..., ::2]), -1).flatten(-2)

    monkeypatch.setattr(modeling_llama, "rotate_half", interleaved)
    assert refused(lambda _model: None) == {JoinedMlp}


def test_an_mlp_that_multiplies_in_another_order_stays():
    class Odd(LlamaMLP):
        def forward(self, x):
            return self.down_proj(self.gate_proj(x) * self.act_fn(self.up_proj(x)))

    def change(model):
        for layer in model.model.layers:
            layer.mlp.__class__ = Odd

    assert refused(change) == {JoinedAttention, JoinedLayer}


def test_a_layer_that_adds_in_another_way_stays():
    class Parallel(LlamaDecoderLayer):
        def forward(self, hidden_states, **kwargs):
            attended, _ = self.self_attn(hidden_states=self.input_layernorm(hidden_states), **kwargs)
            return hidden_states + attended + self.mlp(self.post_attention_layernorm(hidden_states))

    def change(model):
        for layer in model.model.layers:
            layer.__class__ = Parallel

    assert refused(change) == {JoinedAttention, JoinedMlp}


def test_what_takes_longer_stays(monkeypatch):
    for module in (joining, single_trial):
        monkeypatch.setattr(module, "in_turns", lambda _functions, _turns: [2.0, 1.0])
    assert refused(lambda _model: None) == set()


def test_a_module_that_others_watch_stays():
    def change(model):
        for layer in model.model.layers:
            layer.self_attn.register_forward_hook(lambda *_: None)

    assert refused(change) == {JoinedMlp}
