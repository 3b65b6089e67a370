"""How vectors are made: read by hand, equal to what sentence-transformers makes of the same folder."""

import os

import pytest
from model_folders import FAMILIES, change_json, make_bert, make_folder, read_json, write_json

from engine.errors import ModelError
from engine.models.pipeline import EmbeddingPipeline, read_pipeline
from engine.models.starter import starter_folder


def oracle(folder):
    """Return the folder as sentence-transformers understands it, in our words."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Normalize
    from sentence_transformers.sentence_transformer.modules import Pooling

    model = SentenceTransformer(folder, device="cpu", local_files_only=True)
    modules = list(model)
    pooling = next(module for module in modules if isinstance(module, Pooling))
    modes = pooling.pooling_mode
    return {
        "max_tokens": model.max_seq_length,
        "do_lower_case": modules[0].do_lower_case,
        "pooling": (modes,) if isinstance(modes, str) else tuple(modes),
        "include_prompt": pooling.include_prompt,
        "dense": [
            (m.in_features, m.out_features, m.linear.bias is not None, type(m.activation_function).__name__)
            for m in modules
            if isinstance(m, Dense)
        ],
        "normalize": isinstance(modules[-1], Normalize),
        "dimension": len(model.encode("The engine ran.")),
        "truncate_dim": model.truncate_dim or 0,
        "prompts": {name: text for name, text in model.prompts.items() if text},
        "default_prompt_name": model.default_prompt_name,
        "similarity": model.similarity_fn_name,
    }


def in_our_words(pipeline: EmbeddingPipeline):
    return {
        "max_tokens": pipeline.max_tokens,
        "do_lower_case": pipeline.do_lower_case,
        "pooling": pipeline.pooling,
        "include_prompt": pipeline.include_prompt,
        "dense": [(d.in_features, d.out_features, d.bias, d.activation) for d in pipeline.dense],
        "normalize": pipeline.normalize,
        "dimension": pipeline.dimension,
        "truncate_dim": pipeline.truncate_dim,
        "prompts": {name: text for name, text in pipeline.prompts.items() if text},
        "default_prompt_name": pipeline.default_prompt_name,
        "similarity": pipeline.similarity,
    }


CASES = {
    "as it is": {},
    "cls": {"pooling": "cls"},
    "max, not normalised": {"pooling": "max", "normalize": False},
    "mean_sqrt_len_tokens": {"pooling": "mean_sqrt_len_tokens"},
    "weightedmean": {"pooling": "weightedmean"},
    "lasttoken": {"pooling": "lasttoken"},
    "three side by side": {"pooling": ("max", "mean", "cls")},
    "three side by side behind a dense layer": {"pooling": ("mean", "cls", "lasttoken"), "dense": 20},
    "dense": {"dense": 12},
    "dense without bias": {"dense": 48, "dense_bias": False, "normalize": False},
    "dense, GELU": {"dense": 12, "activation": "torch.nn.modules.activation.GELU"},
    "dense, identity": {"dense": 12, "activation": "torch.nn.modules.linear.Identity"},
    "dense, foreign activation": {"dense": 12, "activation": "my_module.Special"},
    "prompts": {"prompts": {"query": "query: ", "document": "passage: "}, "default_prompt": "query"},
    "default prompt without text": {"default_prompt": "document"},
    "prompts left out of the pooling": {"prompts": {"query": "find: "}, "include_prompt": False},
    "dot": {"similarity": "dot"},
    "truncated": {"truncate_dim": 8},
    "truncated beyond its length": {"truncate_dim": 800, "dense": 12},
    "lower case": {"do_lower_case": True},
    "subfolder": {"subfolder": "0_Transformer", "dense": 12},
    "no length of its own": {"max_seq_length": None},
    "the tokenizer's length": {"max_seq_length": None, "model_max_length": 50},
    "no sentence-transformers files": {"modules": False, "model_max_length": 70},
}


@pytest.mark.parametrize("new_layout", [False, True], ids=["old", "new"])
@pytest.mark.parametrize("case", CASES)
def test_a_folder_is_read_as_sentence_transformers_reads_it(tmp_path, case, new_layout):
    folder = make_bert(tmp_path / "m", **CASES[case], new_layout=new_layout)
    ours = in_our_words(read_pipeline(folder))
    theirs = oracle(folder)
    if "three side by side" in case and not new_layout:
        assert ours["pooling"] == tuple(mode for mode in ("cls", "max", "mean", "lasttoken") if mode in ours["pooling"])
    assert ours == theirs


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_read_as_sentence_transformers_reads_it(tmp_path, family):
    folder = make_folder(tmp_path / "m", family)
    assert in_our_words(read_pipeline(folder)) == oracle(folder)


def test_what_sentence_transformers_saves_is_read_back(tmp_path):
    from sentence_transformers import SentenceTransformer

    first = make_bert(tmp_path / "first", dense=12, prompts={"query": "q: "}, pooling=("mean", "max"))
    SentenceTransformer(first, device="cpu").save_pretrained(str(tmp_path / "second"), create_model_card=False)
    assert "pooling_mode" in read_json(str(tmp_path / "second"), "1_Pooling/config.json")
    pipeline = read_pipeline(str(tmp_path / "second"))
    assert in_our_words(pipeline) == oracle(str(tmp_path / "second"))
    assert pipeline.dense[0].weights == str(tmp_path / "second" / "2_Dense" / "model.safetensors")


def test_the_starter_is_read_as_sentence_transformers_reads_it():
    pipeline = read_pipeline(starter_folder())
    assert in_our_words(pipeline) == oracle(starter_folder())
    assert (pipeline.pooling, pipeline.max_tokens, pipeline.normalize) == (("mean",), 256, True)


def test_a_folder_without_modules_is_not_normalised_and_says_so(tmp_path):
    pipeline = read_pipeline(make_bert(tmp_path / "m", modules=False))
    assert (pipeline.declared, pipeline.normalize, pipeline.prompts) == (False, False, {})
    assert pipeline.transformer_folder == pipeline.folder


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta", "mpnet"])
def test_positions_that_never_hold_a_token_do_not_count(tmp_path, family):
    folder = make_folder(tmp_path / "m", family, positions=40, max_seq_length=None)
    pad = read_json(folder, "config.json")["pad_token_id"]
    assert read_json(folder, "config.json")["max_position_embeddings"] == 40 + pad + 1
    assert read_pipeline(folder).max_tokens == 40


def test_a_length_beyond_the_positions_is_capped_with_a_warning(tmp_path):
    pipeline = read_pipeline(make_bert(tmp_path / "m", positions=40, max_seq_length=512))
    assert pipeline.max_tokens == 40
    assert "512 tokens" in pipeline.notes[0]
    assert "40 positions" in pipeline.notes[0]


def test_computed_positions_are_not_capped(tmp_path):
    pipeline = read_pipeline(make_folder(tmp_path / "m", "qwen3", positions=40, max_seq_length=512))
    assert pipeline.max_tokens == 512
    assert pipeline.notes == ()


def test_an_endless_tokenizer_length_is_not_believed(tmp_path):
    folder = make_bert(tmp_path / "m", max_seq_length=None, positions=100)
    change_json(folder, "tokenizer_config.json", model_max_length=10**30)
    assert read_pipeline(folder).max_tokens == 100


@pytest.mark.parametrize("name", ["roberta", "distilbert", "xlm-roberta"])
def test_older_names_of_the_transformer_file_are_read(tmp_path, name):
    folder = make_bert(tmp_path / "m")
    os.rename(os.path.join(folder, "sentence_bert_config.json"), os.path.join(folder, f"sentence_{name}_config.json"))
    change_json(folder, f"sentence_{name}_config.json", max_seq_length=33)
    assert read_pipeline(folder).max_tokens == oracle(folder)["max_tokens"] == 33


def module_type(index, kind):
    def change(folder):
        modules = read_json(folder, "modules.json")
        modules[index]["type"] = kind
        write_json(folder, "modules.json", modules)

    return change


def add_module(kind, path="9_More"):
    def change(folder):
        modules = read_json(folder, "modules.json")
        write_json(folder, "modules.json", [*modules, {"idx": 9, "name": "9", "path": path, "type": kind}])
        write_json(folder, f"{path}/config.json", {"in_features": 32, "out_features": 32})

    return change


def setting(name, **values):
    return lambda folder: change_json(folder, name, **values)


ST = "sentence_transformers"
SBERT, OUTER, POOLING = "sentence_bert_config.json", "config_sentence_transformers.json", "1_Pooling/config.json"
REFUSED = {
    **{
        f"module {kind}": (module_type(1, f"{ST}.models.{kind}"), f"the module {kind}")
        for kind in ("CNN", "LSTM", "WeightedLayerPooling", "WordWeights", "LayerNorm")
    },
    **{
        f"first module {kind}": (module_type(0, f"{ST}.models.{kind}"), f"the module {kind}")
        for kind in ("BoW", "Router", "Asym", "CLIPModel", "WordEmbeddings")
    },
    "own code": (module_type(0, "custom_st.Transformer"), "custom_st.Transformer"),
    "own code with a familiar name": (
        module_type(1, "sentence_transformers_x.Pooling"),
        "code from the model's folder",
    ),
    "no type": (lambda folder: write_json(folder, "modules.json", [{"path": ""}]), "without type and path"),
    "layers behind the normalisation": (add_module(f"{ST}.models.Dense"), "Dense after Normalize"),
    "layer norm at the end": (add_module(f"{ST}.models.LayerNorm"), "the module LayerNorm"),
    "normalising tokens": (
        lambda folder: write_json(folder, "2_Normalize/config.json", {"module_input_name": "token_embeddings"}),
        "2_Normalize/config.json: Normalize works on 'token_embeddings'",
    ),
    "unknown pooling": (setting(POOLING, pooling_mode="median"), "unknown pooling ['median']"),
    "pooling that is a number": (setting(POOLING, pooling_mode=3), "unknown pooling 3"),
    "sparse encoder": (setting(OUTER, model_type="SparseEncoder"), "a sparse encoder"),
    "cross encoder": (setting(OUTER, model_type="CrossEncoder"), "a cross-encoder"),
    "prompts that are numbers": (setting(OUTER, prompts={"query": 3}), "the prompts are not texts"),
    "default prompt that is not there": (setting(OUTER, default_prompt_name="search"), "'search' is not among"),
    "truncation in words": (setting(OUTER, truncate_dim="8"), "truncate_dim is not a whole number"),
    "another use": (setting(SBERT, transformer_task="fill-mask"), "not used to make vectors"),
    "chat template": (
        setting(
            SBERT,
            modality_config={
                name: {"method": "forward", "method_output_name": "last_hidden_state"} for name in ("text", "message")
            },
        ),
        "chat template",
    ),
    "another layer": (
        setting(SBERT, modality_config={"text": {"method": "forward", "method_output_name": "pooler_output"}}),
        "another place than the last layer",
    ),
    "changed configuration": (setting(SBERT, config_args={"is_causal": False}), "is_causal in config_args"),
    "settings that are a list": (setting(SBERT, model_args=[1]), "model_args is not an object"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_change_the_vectors_unseen_is_refused_by_name(tmp_path, case):
    change, phrase = REFUSED[case]
    folder = make_bert(tmp_path / "m")
    change(folder)
    with pytest.raises(ModelError) as caught:
        read_pipeline(folder)
    assert phrase in str(caught.value)
    assert ".json" in str(caught.value) or "sentence-transformers file" in str(caught.value)


def test_settings_that_change_nothing_and_dropout_are_accepted(tmp_path):
    folder = make_bert(tmp_path / "m")
    change_json(folder, SBERT, model_args={"torch_dtype": "float32", "attn_implementation": "sdpa"}, config_args=None)
    modules = read_json(folder, "modules.json")
    modules.insert(2, {"idx": 2, "name": "d", "path": "2_Dropout", "type": f"{ST}.models.Dropout"})
    write_json(folder, "modules.json", modules)
    assert read_pipeline(folder).normalize
