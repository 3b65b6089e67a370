"""Vectors equal sentence-transformers' on the same folder, whatever the family, mode, plan or neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from model_folders import FAMILIES, OTHERS, change_json, make_folder, read_json, write_json
from oracle import TEXTS, cosines, engine_vectors, oracle_vectors

from engine.api.plan import Plan
from engine.engine import Engine
from engine.models.starter import starter_folder

LONG = " ".join(TEXTS * 12)


@pytest.fixture(scope="module")
def engine():
    """One engine that opens a folder after another, as a user would."""
    made = Engine()
    yield made
    assert made.close(5.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_equal_sentence_transformers(engine, tmp_path, family):
    folder = make_folder(tmp_path, family)
    expected = oracle_vectors(folder, [*TEXTS, LONG])
    for dtype, limit in (("float32", 0.9999), ("bf16", 0.999)):
        engine.open_model(folder, dtype).result(60)
        ours = engine_vectors(engine, [*TEXTS, LONG], on_overflow="head")
        assert cosines(expected, ours).min() >= limit
        assert engine.loaded.mode == ("padded" if family == "mpnet" else "packed"), engine.loaded.note


@pytest.mark.parametrize("family", [family for family in OTHERS if family != "bart"])
def test_vectors_of_odd_families_equal_sentence_transformers(engine, tmp_path, family):
    folder = make_folder(tmp_path, family)
    # Text by text: FNet mixes those of a batch, padding and all.
    expected = np.concatenate([oracle_vectors(folder, [text]) for text in TEXTS])
    engine.open_model(folder, "float32").result(60)
    assert cosines(expected, engine_vectors(engine, TEXTS)).min() >= 0.9999


@pytest.mark.parametrize("types", [None, 0, 1])
def test_token_types_are_those_that_the_tokenizer_makes(engine, tmp_path, types):
    folder = make_folder(tmp_path, "bert")
    if types is not None:
        change_json(
            folder, "tokenizer_config.json", model_input_names=["input_ids", "token_type_ids", "attention_mask"]
        )
        tokenizer = read_json(folder, "tokenizer.json")
        for piece in tokenizer["post_processor"]["single"]:
            if "SpecialToken" in piece:
                piece["SpecialToken"]["type_id"] = types
        write_json(folder, "tokenizer.json", tokenizer)
    expected = oracle_vectors(folder, TEXTS)
    engine.open_model(folder, "float32").result(60)
    assert engine.loaded.mode == "packed"
    assert set(engine.loaded.token_types.values()) == ({1} if types else set())
    assert cosines(expected, engine_vectors(engine, TEXTS)).min() >= 0.9999


@pytest.mark.parametrize(
    "options",
    [
        {"pooling": "cls"},
        {"pooling": "max"},
        {"pooling": "lasttoken"},
        {"pooling": "mean_sqrt_len_tokens", "normalize": False},
        {"pooling": "weightedmean", "normalize": False},
        {"pooling": ("mean", "max"), "normalize": False},
        {"dense": 16},
        {"dense": 48, "dense_bias": False, "activation": "torch.nn.modules.linear.Identity"},
        {"normalize": False},
        {"truncate_dim": 8},
        {"do_lower_case": True},
        {"modules": False},
        {"new_layout": True},
        {"shard_bytes": 20_000},
        {"max_seq_length": 12},
    ],
    ids=str,
)
def test_every_pipeline_equals_sentence_transformers(engine, tmp_path, options):
    folder = make_folder(tmp_path, "bert", **options)
    engine.open_model(folder, "float32").result(60)
    expected = oracle_vectors(folder, TEXTS)
    ours = engine_vectors(engine, TEXTS, on_overflow="head")
    assert ours.shape == expected.shape
    assert cosines(expected, ours).min() >= 0.9999
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), np.linalg.norm(expected, axis=1), rtol=1e-4)


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "cls", "weightedmean"])
def test_prompts_are_put_in_front_and_pooled_as_the_folder_says(engine, tmp_path, include, pooling):
    folder = make_folder(
        tmp_path,
        "bert",
        pooling=pooling,
        include_prompt=include,
        prompts={"query": "search for the water: ", "passage": ""},
    )
    engine.open_model(folder, "float32").result(60)
    expected = oracle_vectors(folder, TEXTS, prompt_name="query")
    ours = engine_vectors(engine, TEXTS, on_overflow="head", prompt="query")
    assert cosines(expected, ours).min() >= 0.9999
    own = engine_vectors(engine, TEXTS, on_overflow="head", prompt="the harbour was ")
    assert cosines(oracle_vectors(folder, TEXTS, prompt="the harbour was "), own).min() >= 0.9999


def test_the_folders_default_prompt_is_used(engine, tmp_path):
    folder = make_folder(tmp_path, "bert", prompts={"query": "find the harbour: "}, default_prompt="query")
    engine.open_model(folder, "float32").result(60)
    assert cosines(oracle_vectors(folder, TEXTS), engine_vectors(engine, TEXTS, on_overflow="head")).min() >= 0.9999


@pytest.mark.parametrize("dtype", ["float32", "bf16"])
def test_the_starter_equals_sentence_transformers(engine, dtype):
    engine.open_model("starter", dtype).result(60)
    texts = [*TEXTS, LONG, "naïve café — 数据"]
    ours = engine_vectors(engine, texts, on_overflow="head")
    assert cosines(oracle_vectors(starter_folder(), texts), ours).min() >= (0.9999 if dtype == "float32" else 0.999)


def test_vectors_do_not_depend_on_workers_threads_or_batches(engine, monkeypatch):
    engine.open_model("starter", "float32").result(60)
    texts = [*TEXTS, LONG, *(f"text number {i} " * (i % 40 + 1) for i in range(60))]
    found = []
    for workers, threads, budget in ((1, 1, 4096), (2, 1, 300), (1, 2, 512), (3, 1, 4096)):
        monkeypatch.setattr(type(engine.loaded), "budget", lambda _self, _seconds, budget=budget: budget)
        engine.set_plan(Plan("cpu", workers, threads, "float32")).result(30)
        assert (engine.plan.workers, engine.plan.threads) == (workers, threads)
        found.append(engine_vectors(engine, texts))
    for other in found[1:]:
        assert cosines(found[0], other).min() >= 0.9999


def test_a_long_text_is_the_mean_of_its_windows_and_all_of_it_counts(engine, tmp_path):
    folder = make_folder(tmp_path, "bert", max_seq_length=16)
    engine.open_model(folder, "float32").result(60)
    engine.create_job("long")
    engine.add_texts("long", [("long.txt", LONG), ("short.txt", TEXTS[0])]).result()
    engine.submit("long", "embed")
    assert engine.wait("long", 60)
    (long, result), (short, _) = engine.journal.results("long")
    assert result.value["windows"] > 1
    assert long.coverage == short.coverage == 1.0
    tokenizer = engine.loaded.tokenizer
    ids = tokenizer.ids([LONG])[0]
    assert long.tokens == len(ids)
    head = engine_vectors(engine, [LONG], on_overflow="head")
    tail = engine_vectors(engine, [LONG], on_overflow="tail")
    mean = np.frombuffer(result.vector, "<f4")[None]
    assert cosines(head, tail)[0] < 0.999
    assert cosines(mean, head)[0] < 0.9999
    assert abs(np.linalg.norm(mean) - 1.0) < 1e-5


def test_a_text_that_is_cut_says_how_much_was_used(engine, tmp_path):
    folder = make_folder(tmp_path, "bert", max_seq_length=16)
    engine.open_model(folder, "float32").result(60)
    engine.create_job("cut")
    engine.add_texts("cut", [("long.txt", LONG)]).result()
    engine.submit("cut", "embed", {"on_overflow": "head"})
    assert engine.wait("cut", 60)
    (record,) = engine.journal.documents("cut")
    assert 0 < record.coverage < 0.1
    assert "of the text was used" in record.reason
    engine.create_job("refused")
    engine.add_texts("refused", [("long.txt", LONG), ("short.txt", "no")]).result()
    engine.submit("refused", "embed", {"on_overflow": "fail"})
    assert engine.wait("refused", 60)
    long, short = engine.journal.documents("refused")
    assert (long.state, short.state) == ("failed", "done")
    assert f"{len(engine.loaded.tokenizer.ids([LONG])[0]):,} tokens" in long.reason


def test_a_script_that_the_model_does_not_know_is_told(engine):
    engine.open_model("starter", "float32").result(60)
    engine.create_job("script")
    engine.add_texts("script", [("cn.txt", "䷀䷁䷂ ䷃䷄䷅ ䷆䷇䷈ ䷉䷊䷋"), ("en.txt", TEXTS[1])]).result()
    engine.submit("script", "embed")
    assert engine.wait("script", 60)
    strange, plain = engine.journal.documents("script")
    assert strange.unknown_share > 0.5
    assert "does not know" in strange.reason
    assert plain.unknown_share == 0.0
    assert plain.reason == ""
