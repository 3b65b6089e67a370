"""Families in GGUF files load as the models that they were made of, through the product's own loader."""

from __future__ import annotations

import os

import gguf_files
import pytest
import torch

from engine.errors import Cancelled, ModelError
from engine.models.folder import look, require
from engine.models.load_decoder import load_decoder
from engine.models.pretrained import read_weights

IDS = torch.arange(7, 67)[None] * 37 % gguf_files.VOCABULARY


def loaded(path, dtype=torch.float32):
    return read_weights(require(str(path)), str(path), dtype, torch.device("cpu"), None, lambda _share: None)


@pytest.mark.parametrize("name", list(gguf_files.FAMILIES))
def test_a_family_gives_the_logits_of_the_model_it_was_made_of(tmp_path, name):
    path = tmp_path / "tiny.gguf"
    theirs = gguf_files.model_file(path, name)
    ours = loaded(path)
    expected, got = theirs(IDS).logits, ours(IDS).logits
    assert float((got - expected).abs().max() / expected.std()) < 1e-4
    assert ours.config.eos_token_id == [0, 2]


@pytest.mark.parametrize("number", [gguf_files.F16, gguf_files.BF16, gguf_files.Q8_0, gguf_files.Q4_1])
def test_stored_in_fewer_bits_it_is_the_same_model_but_for_rounding(tmp_path, number):
    path = tmp_path / "tiny.gguf"
    theirs = gguf_files.model_file(path, "llama", number)
    expected, got = theirs(IDS).logits, loaded(path)(IDS).logits
    error = float((got - expected).square().mean().sqrt() / expected.std())
    assert 0 < error < (0.5 if number == gguf_files.Q4_1 else 0.05)


def test_bf16_is_one_rounding_of_what_the_file_holds(tmp_path):
    path = tmp_path / "tiny.gguf"
    gguf_files.model_file(path, "gemma3", gguf_files.Q8_0)
    whole, rounded = loaded(path).state_dict(), loaded(path, torch.bfloat16).state_dict()
    assert all(torch.equal(weight.bfloat16(), rounded[name]) for name, weight in whole.items())


def test_a_model_loads_with_its_self_check_and_runs_over_slots(tmp_path):
    path = tmp_path / "tiny.gguf"
    gguf_files.model_file(path, "llama", gguf_files.Q8_0)
    found = load_decoder(str(path), dtype="float32")
    assert (found.mode, found.note) == ("slots", "")
    prompt = found.tokenizer.conversation("", "The thin error: 42")
    assert prompt.text == "<|im_start|>user\nThe thin error: 42<|im_end|>\n<|im_start|>assistant\n"
    ids = found.tokenizer.prompt_ids(prompt).tolist()
    assert ids[0] == 1
    assert found.tokenizer.decode(ids).startswith("user\nThe thin error: 42")


def test_a_split_model_is_one_model_whichever_of_its_files_is_chosen(tmp_path):
    paths = gguf_files.split_file(tmp_path, "qwen2", 3)
    facts = look(str(paths[1]))
    assert (facts.usable, facts.name, facts.bytes) == (True, "tiny", sum(path.stat().st_size for path in paths))
    expected = gguf_files.tiny_model("qwen2")(IDS).logits
    assert float((loaded(paths[2])(IDS).logits - expected).abs().max()) < 1e-4
    paths[1].unlink()
    assert "tiny-00002-of-00003.gguf is missing" in look(str(paths[0])).problems[0]


def test_the_look_says_what_the_file_holds(tmp_path):
    path = tmp_path / "tiny.gguf"
    model = gguf_files.model_file(path, "llama", gguf_files.Q8_0)
    facts = look(str(path))
    assert (facts.usable, facts.capabilities, facts.max_tokens) == (True, ("generate",), 512)
    assert (facts.family, facts.architecture, facts.licence) == ("llama", "LlamaForCausalLM", "apache-2.0")
    assert facts.dtype == "Q8_0 + F32"
    assert facts.parameters == sum(weight.numel() for weight in model.parameters())
    assert facts.memory["float32"] > facts.memory["bf16"] > facts.parameters * 2


def changed(tmp_path, values=None, extra=None, without=()):
    model = gguf_files.tiny_model("llama")
    held = gguf_files.metadata(model, "llama") | (values or {})
    weights = gguf_files.tensors(model, "llama") | (extra or {})
    return gguf_files.write(
        tmp_path / "odd.gguf",
        {key: value for key, value in held.items() if key not in without},
        {key: value for key, value in weights.items() if key not in without},
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"values": {"general.architecture": "rwkv7"}}, "family rwkv7"),
        ({"values": {"general.type": "adapter"}}, "part of one"),
        ({"values": {"llama.expert_count": 8}}, "mixture of experts"),
        ({"values": {"llama.rope.scaling.type": "spiral", "llama.rope.scaling.factor": 2.0}}, "spiral"),
        ({"values": {"tokenizer.ggml.model": "rwkv"}}, "tokenizer of the kind 'rwkv'"),
        ({"values": {"llama.block_count": 3}}, "3 layers"),
        ({"values": {"llama.embedding_length": 1 << 30}}, "numbers a token"),
        ({"values": {"llama.attention.head_count": 7}}, "7 heads"),
        ({"values": {"tokenizer.ggml.tokens": ["a"] * 400}}, "token_type"),
        ({"without": ("tokenizer.ggml.tokens",)}, "no tokenizer"),
        ({"without": ("token_embd.weight",)}, "token_embd.weight"),
        ({"without": ("llama.context_length",)}, "llama.context_length"),
        ({"extra": {"blk.0.attn_sinks.weight": gguf_files.stored(torch.ones(4).numpy())}}, "attn_sinks"),
        ({"extra": {"rope_freqs.weight": gguf_files.stored(torch.arange(1.0, 9).numpy())}}, "rope_freqs.weight"),
    ],
)
def test_what_would_be_answered_wrongly_is_refused_by_name(tmp_path, change, said):
    facts = look(str(changed(tmp_path, **change)))
    assert not facts.usable
    assert said in facts.problems[0]


def test_a_missing_weight_is_refused_at_load(tmp_path):
    path = changed(tmp_path, without=("blk.1.ffn_up.weight",))
    with pytest.raises(ModelError, match=r"lack 1 tensors, such as 'model.layers.1.mlp.up_proj.weight'"):
        loaded(path)


def test_an_unknown_way_of_cutting_words_is_a_warning(tmp_path):
    facts = look(str(changed(tmp_path, {"tokenizer.ggml.pre": "novel"})))
    assert facts.usable
    assert "'novel'" in facts.warnings[0]


def test_a_file_that_is_cut_short_after_the_look_is_refused_by_name(tmp_path):
    path = tmp_path / "tiny.gguf"
    gguf_files.model_file(path, "llama", gguf_files.Q8_0)

    def cut(stage: str, share: float) -> None:
        if stage == "reading the weights" and share > 0.3:
            os.truncate(path, path.stat().st_size // 2)

    with pytest.raises(ModelError, match=r"tiny\.gguf"):
        load_decoder(str(path), dtype="float32", progress=cut)


def test_a_load_is_cancelled_between_two_tensors(tmp_path):
    path = tmp_path / "tiny.gguf"
    gguf_files.model_file(path, "llama")

    def stop(share: float) -> None:
        if share > 0.2:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        read_weights(require(str(path)), str(path), torch.float32, torch.device("cpu"), None, stop)
