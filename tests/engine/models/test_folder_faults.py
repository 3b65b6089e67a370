"""Every fault of a model folder is named, nothing raises, nothing is loaded."""

import json
import os
import shutil
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_folders import change_json, read_json, write_json

from engine.errors import ModelError
from engine.models.folder import look, require


def file(folder, name):
    return os.path.join(folder, name)


def parts(folder):
    return sorted(name for name in os.listdir(folder) if name.startswith("model-0"))


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


def added_word(special):
    def change(folder):
        tokenizer = read_json(folder, "tokenizer.json")
        size = len(tokenizer["model"]["vocab"])
        word = dict(tokenizer["added_tokens"][0], id=size, content="<more>", special=special)
        tokenizer["added_tokens"].append(word)
        write_json(folder, "tokenizer.json", tokenizer)

    return change


def mark_beyond(folder):
    tokenizer = read_json(folder, "tokenizer.json")
    tokenizer["post_processor"]["special_tokens"]["[SEP]"]["ids"] = [len(tokenizer["model"]["vocab"])]
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
    "GGUF that is none": (weights_as("model.gguf"), "model.gguf is not a GGUF file"),
    "tokenizer missing": (remove("tokenizer.json"), "there is no tokenizer.json"),
    "tokenizer cut off": (cut("tokenizer.json", 100), "tokenizer.json is not valid JSON"),
    "tokenizer without words": (write("tokenizer.json", '{"model": {}}'), "tokenizer.json holds no vocabulary"),
    "tokenizer with numbers in words": (
        write("tokenizer.json", '{"model": {"vocab": {"a": "b"}}}'),
        "token numbers that are not whole numbers",
    ),
    "tokenizer of another model": (more_words, "The tokenizer is of another model"),
    "tokenizer with an added word": (added_word(False), "The tokenizer is of another model"),
    "tokenizer with a mark around texts": (mark_beyond, "The tokenizer is of another model"),
    "tokenizer config cut off": (cut("tokenizer_config.json", 10), "tokenizer_config.json is not valid JSON"),
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
    assert not facts.usable
    assert facts.capabilities == ()
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
    index = read_json(folder, "model.safetensors.index.json")
    table = index["weight_map"]
    part = next(part for part in parts(folder) if list(table.values()).count(part) > 1)
    shutil.copyfile(file(folder, part), file(folder, "more.safetensors"))
    table[next(name for name in table if table[name] == part)] = "more.safetensors"
    write_json(folder, "model.safetensors.index.json", index)
    assert f"is in {part} and in more.safetensors" in look(folder).problems[0]


def test_weights_of_eight_bits_are_refused(copy):
    import torch
    from safetensors.torch import load_file, save_file

    folder = copy()
    tensors = load_file(file(folder, "model.safetensors"))
    name = "encoder.layer.0.attention.self.query.weight"
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


def test_no_folder_a_file_and_strange_names_are_answered(tmp_path):
    assert "does not exist" in look(str(tmp_path / "gone")).problems[0]
    (tmp_path / "file").write_text("x")
    assert "is not a folder" in look(str(tmp_path / "file")).problems[0]
    assert not look("null\0byte").usable
    assert not look("\ud800").usable
    assert "config.json is missing" in look(str(tmp_path)).problems[0]
    (tmp_path / "tiny.Q4_K_M.gguf").write_bytes(b"GGUF")
    assert "tiny.Q4_K_M.gguf is cut off" in look(str(tmp_path)).problems[0]


def test_a_file_without_permission_is_named(copy, monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("engine.models.regular.open", refuse, raising=False)
    assert "config.json cannot be read (Permission denied)" in look(copy("plain")).problems[0]


def test_a_huge_tokenizer_is_not_parsed(copy):
    folder = copy()
    with open(file(folder, "tokenizer.json"), "wb") as out:  # sparse, and no JSON: parsing it would be a problem
        out.truncate(65 << 20)
    assert look(folder).usable
    with open(file(folder, "tokenizer.json"), "wb") as out:
        out.truncate(513 << 20)
    assert "tokenizer.json is 538 MB large" in look(folder).problems[0]


def test_special_marks_without_a_vector_are_a_warning(copy):
    folder = copy()
    added_word(True)(folder)
    facts = require(folder)
    assert "tokenizer.json has special marks up to number" in facts.warnings[0]


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
