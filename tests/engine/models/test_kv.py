"""What keys and values take, by config.json alone, against what the generator really allocates."""

from __future__ import annotations

import json
import os

import pytest
from model_folders import make_folder

from engine.api.footprint import footprint
from engine.api.plan import Plan
from engine.models.folder import look
from engine.models.kv import kv_numbers, table_numbers


def test_grouped_heads_and_a_dimension_of_their_own_count_as_they_are():
    qwen = {"num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2, "hidden_size": 896}
    assert kv_numbers(qwen) == 24 * 2 * 64 * 2
    assert kv_numbers({**qwen, "head_dim": 128}) == 24 * 2 * 128 * 2
    assert kv_numbers({"n_layer": 12, "n_head": 12, "n_embd": 768}) == 12 * 12 * 64 * 2
    assert table_numbers({**qwen, "vocab_size": 151_936}) == 151_936 * 896


@pytest.mark.parametrize("config", [{}, {"num_hidden_layers": "x"}, {"hidden_size": 5, "num_attention_heads": 0}])
def test_a_config_that_does_not_say_gives_nothing(config):
    assert kv_numbers(config) == 0


@pytest.mark.parametrize("family", ["qwen3", "llama", "gpt2", "gemma2", "deepseek_v2", "mixtral"])
def test_the_estimate_is_what_the_gates_measure(tmp_path, family):
    from decoder_models import make
    from model_folders import make_vocabulary, save_tokenizer

    from engine.models.load_decoder import load_decoder

    folder, vocabulary = str(tmp_path / family), make_vocabulary("qwen3")
    make(family, vocab_size=vocabulary.size).save_pretrained(folder)
    save_tokenizer(folder, vocabulary)
    loaded = load_decoder(folder, dtype="float32")
    assert loaded.generation.shape is not None
    assert look(folder).kv_numbers * 4 == loaded.generation.shape.token_bytes


def test_the_length_classes_are_the_generators():
    from engine.api import footprint
    from engine.inference.generation import generator

    assert footprint.CLASSES == generator.CLASSES


def test_a_footprint_says_what_will_not_fit(tmp_path):
    folder = make_folder(tmp_path, "qwen3", modules=False, head="ForCausalLM", positions=256)
    facts = look(folder)
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        assert json.load(file)["num_hidden_layers"]
    plan = Plan("cpu", 2, 1, "float32", 8)
    roomy = footprint(facts, plan, 10**10, tokens=200)
    assert roomy.kv == 2 * 8 * 256 * facts.kv_numbers * 4
    assert roomy.loads
    assert roomy.all_slots
    assert footprint(facts, plan, 10**10, tokens=10_000).tokens == 256
    assert not footprint(facts, plan, 1_000_000).loads
    tight = footprint(facts, plan, roomy.weights + roomy.working + roomy.kv, tokens=200)
    assert tight.loads
    assert not tight.all_slots
    small = footprint(facts, Plan("cpu", 2, 1, "int4", 8), 10**10)
    assert small.weights < roomy.weights
