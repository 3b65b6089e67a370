"""What a folder of no use is called: by `heddle models check` and by `heddle run`, before anything is loaded."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import sys

import gguf_files
import pytest
from host_process import ROOT
from model_folders import change_json, make_cache, make_folder, make_vocabulary, read_json, write_json

from engine.cli.main import main
from engine.models.fingerprint import fingerprint


def file(folder, name):
    return os.path.join(folder, name)


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    """A tiny text generator."""
    return make_folder(
        tmp_path_factory.mktemp("made") / "writer", "qwen3", modules=False, head="ForCausalLM", positions=256
    )


@pytest.fixture
def folder(generator, tmp_path):
    """A copy of it to be damaged."""
    return str(shutil.copytree(generator, tmp_path / "my-model"))


@pytest.fixture
def text(tmp_path):
    """A document."""
    place = tmp_path / "one.txt"
    place.write_text("A text.")
    return str(place)


def checked(folder, capsys):
    """Return what `heddle models check` finds wrong with ``folder``."""
    code = main(["models", "check", folder])
    found = capsys.readouterr().out
    assert code == 1, found
    return " ".join(line for line in found.splitlines() if line.startswith("problems"))


def ran(folder, text, tmp_path, capsys):
    """Return what `heddle run` says of ``folder``, having loaded nothing and begun nothing."""
    out = tmp_path / "rows.jsonl"
    assert main(["run", "generate", "--prompt", "Sum up.", text, "--model", folder, "--out", str(out)]) == 2
    assert not os.path.exists(f"{out}.journal")
    return capsys.readouterr().err


def only(*names):
    """Leave nothing but these in a folder."""

    def change(folder):
        for name in os.listdir(folder):
            if name not in names:
                os.remove(file(folder, name))

    return change


def touch(name, data=b"x"):
    def change(folder):
        os.makedirs(os.path.dirname(file(folder, name)), exist_ok=True)
        with open(file(folder, name), "wb") as out:
            out.write(data)

    return change


def without_weights(*steps):
    def change(folder):
        os.remove(file(folder, "model.safetensors"))
        for step in steps:
            step(folder)

    return change


def untied(folder):
    """Say that the output layer is one of its own, and leave it out."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(file(folder, "model.safetensors"))
    tensors.pop("lm_head.weight", None)
    save_file(tensors, file(folder, "model.safetensors"), metadata={"format": "pt"})
    change_json(folder, "config.json", tie_word_embeddings=False)


def untied_by_family(folder):
    untied(folder)
    config = read_json(folder, "config.json")
    del config["tie_word_embeddings"]
    write_json(folder, "config.json", config)


def adapter(folder):
    only()(folder)
    write_json(folder, "adapter_config.json", {"peft_type": "LORA", "base_model_name_or_path": "org/base"})
    touch("adapter_model.safetensors")(folder)


def whole_numbers(folder):
    from safetensors.torch import load_file, save_file

    tensors = load_file(file(folder, "model.safetensors"))
    name = "model.layers.0.mlp.up_proj.weight"
    tensors[name] = tensors[name].char()
    save_file(tensors, file(folder, "model.safetensors"), metadata={"format": "pt"})


def special(name, make):
    def change(folder):
        if os.path.lexists(file(folder, name)):
            os.remove(file(folder, name))
        make(file(folder, name))

    return change


def open_socket(path):
    """Make a socket; its name may be a hundred bytes long at most."""
    before = os.getcwd()
    os.chdir(os.path.dirname(path))
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.basename(path))
    finally:
        os.chdir(before)


def link(target):
    return lambda path: os.symlink(target, path)


def header(tensors):
    """Write weights that consist of a header."""
    text = json.dumps(tensors).encode() if not isinstance(tensors, bytes) else tensors
    return touch("model.safetensors", struct.pack("<Q", len(text)) + text)


def tensor(shape, end=0):
    return {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}


def tokenizer_config(**values):
    """Set values in the tokenizer's config, of a folder without a template's file."""
    return lambda folder: change_json(folder, "tokenizer_config.json", **values)


def tokenizer(**values):
    return lambda folder: change_json(folder, "tokenizer.json", **values)


def split(pattern, kind="Split"):
    found = {"type": kind, "pattern": {"Regex": pattern}}
    return found | {"behavior": "Isolated", "invert": False} if kind == "Split" else found


def template(text):
    return touch("chat_template.jinja", text.encode())


ENDLESS = (
    "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
    "{% endfor %}{% endfor %}{% endfor %}"
)
DOUBLING = "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}"
ENDLESS_NUMBER = "{{ (messages|length + 8) ** (9 ** 9) }}"
"""Computed in one step, in which no Python is run."""

REFUSALS = {
    "an output layer that is not there": (untied, "tie_word_embeddings false, but the weights have no output layer"),
    "an output layer that the family has": (
        untied_by_family,
        "does not say tie_word_embeddings, which is false in the family qwen3",
    ),
    "an adapter without its model": (adapter, "this is an adapter (LoRA) that changes another model (org/base)"),
    "a GGUF file in a folder": (
        lambda f: (only()(f), touch("tiny.Q4_K_M.gguf", b"GGUF")(f)),
        "tiny.Q4_K_M.gguf is cut off",
    ),
    "two GGUF files in a folder": (
        lambda f: (only()(f), touch("tiny.Q4_K_M.gguf", b"GGUF")(f), touch("tiny.Q8_0.gguf", b"GGUF")(f)),
        "tiny.Q4_K_M.gguf; a GGUF file is a model of its own: choose the file itself",
    ),
    "GGUF beside a config": (
        without_weights(touch("tiny.gguf", b"GGUF")),
        "tiny.gguf is cut off",
    ),
    "ONNX only": (without_weights(touch("model.onnx")), "model.onnx; ONNX files are for onnxruntime"),
    "ONNX only, in a folder of its own": (
        without_weights(touch("onnx/model_quantized.onnx")),
        "onnx/model_quantized.onnx; ONNX files are for onnxruntime",
    ),
    "ONNX without a config": (
        lambda f: (only()(f), touch("onnx/model.onnx")(f)),
        "config.json is missing. The weights are only in onnx/model.onnx",
    ),
    "OpenVINO only": (without_weights(touch("openvino_model.xml")), "OpenVINO's files are not run"),
    "TensorFlow only": (without_weights(touch("tf_model.h5")), "TensorFlow's files are not run"),
    "Flax only": (without_weights(touch("flax_model.msgpack")), "Flax's files are not run"),
    "the maker's own format": (
        lambda f: (only()(f), touch("params.json")(f), touch("consolidated.safetensors")(f)),
        "the maker's own format",
    ),
    "pictures": (lambda f: (only()(f), touch("model_index.json")(f)), "this model makes pictures"),
    "a folder of models": (
        lambda f: (only()(f), touch("tiny/config.json")(f)),
        "folders in this one have it. Choose one of them, such as tiny",
    ),
    "whole numbers without a word in the config": (whole_numbers, "up_proj.weight is stored in fewer than 16 bits"),
    "quantised for MLX": (
        lambda f: change_json(f, "config.json", quantization={"bits": 4, "group_size": 64}),
        "the weights are quantised (quantization)",
    ),
    "a pipe for weights": (
        special("model.safetensors", os.mkfifo),
        "model.safetensors is not a regular file but a pipe",
    ),
    "a pipe beside the weights": (special("more.safetensors", os.mkfifo), "more.safetensors is not a regular file"),
    "a pipe that nobody knows": (special("notes", os.mkfifo), "notes is not a regular file but a pipe"),
    "a pipe for the config": (special("config.json", os.mkfifo), "config.json is not a regular file"),
    "a socket": (special("s", open_socket), "s is not a regular file but a socket"),
    "a device": (special("model.safetensors", link("/dev/zero")), "model.safetensors is a link that leads outside"),
    "a device beside the config": (special("extra.json", link("/dev/zero")), "extra.json is a link that leads outside"),
    "a link to elsewhere": (special("model.safetensors", link("/etc/hostname")), "is a link that leads outside"),
    "shapes without end": (header({"a": tensor([2**62] * 40_000)}), "gives the tensor a 40,000 dimensions"),
    "shapes of many places": (header({"a": tensor([2**62] * 60)}), "takes more than any file holds"),
    "a header of many values": (
        header(b'{"a":[' + b"{}," * 2_000_000 + b"{}]}"),
        "has a header with more entries than any model has tensors",
    ),
    "marks of the model as a list": (
        tokenizer_config(model_specific_special_tokens=["<a>"]),
        "model_specific_special_tokens is not an object of names and tokens",
    ),
    "marks that are numbers": (
        tokenizer_config(extra_special_tokens=[3]),
        "extra_special_tokens is not a list of tokens",
    ),
    "an end that is a number": (tokenizer_config(eos_token=3), "eos_token is not a token's text"),
    "added tokens as a list": (tokenizer_config(added_tokens_decoder=["x"]), "added_tokens_decoder is not an object"),
    "a damaged tokenizer config": (touch("tokenizer_config.json", b"{"), "tokenizer_config.json is not valid JSON"),
    "a damaged map of marks": (touch("special_tokens_map.json", b"[]"), "special_tokens_map.json holds a list"),
    "a damaged generation config": (touch("generation_config.json", b"{"), "generation_config.json is not valid JSON"),
    "an end that is a text": (
        lambda f: change_json(f, "generation_config.json", eos_token_id="5"),
        "generation_config.json: eos_token_id is not a token's number",
    ),
    "an open block": (
        template("{% for message in messages %}{{ message.content }}"),
        "chat_template.jinja: the chat template is damaged (line 1: Unexpected end of template",
    ),
    "an open block in the config": (
        tokenizer_config(chat_template="{% if messages %}"),
        "tokenizer_config.json: the chat template is damaged",
    ),
    "a template too long": (template("x" * 200_001), "and no more than 200,000 are taken"),
    "templates without a default": (
        tokenizer_config(chat_template=[{"name": "rag", "template": "x"}]),
        "has several chat templates (rag), and none is called default",
    ),
    "template files without a default": (
        touch("additional_chat_templates/rag.jinja"),
        "additional_chat_templates has several chat templates (none), and none is called default",
    ),
    "a template that is a number": (tokenizer_config(chat_template=3), "chat_template is not a text"),
    "an endless template": (template(ENDLESS), "chat_template.jinja: the chat template does not come to an end"),
    "a template that calls itself": (
        template("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
        "chat_template.jinja: the chat template calls itself without end",
    ),
    "a template that doubles a text": (
        template(DOUBLING),
        "chat_template.jinja: the chat template takes more memory",
    ),
    "a template with an unknown filter": (template("{{ messages|wild }}"), "does not work (No filter named 'wild'"),
    "a template that refuses": (template("{{ raise_exception('not me') }}"), "does not work (not me)"),
    "a pattern that looks for ever": (
        tokenizer(pre_tokenizer=split("(a|aa)+$")),
        "tokenizer.json: the tokenizer does not work (Onig: Regex search error",
    ),
    "a damaged pattern": (tokenizer(pre_tokenizer=split("(a")), "tokenizer.json: the tokenizer does not work"),
    "a tokenizer that grows its text": (
        tokenizer(normalizer={"type": "Sequence", "normalizers": [split("a", "Replace") | {"content": "a" * 30}] * 9}),
        "tokenizer.json: the tokenizer ended the process that tried it",
    ),
    "a header too long": (header(b'{"a": "' + b"x" * (40 << 20) + b'"}'), "and at most 33,554,432 are allowed"),
    "a config of many values": (
        touch("config.json", b'{"a":[' + b"{}," * 2_000_000 + b"{}]}"),
        "config.json holds more values than any model's file",
    ),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_is_of_no_use_is_said_before_anything_is_loaded(kind, folder, text, tmp_path, capsys):
    change, phrase = REFUSALS[kind]
    change(folder)
    assert phrase in checked(folder, capsys)
    said = ran(folder, text, tmp_path, capsys)
    assert phrase in said
    assert "my-model" in said


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("tiny.Q4_K_M.gguf", "is cut off"),
        ("model.safetensors", "Choose the folder that it lies in"),
        ("model.onnx", "ONNX files are for onnxruntime"),
        ("model.bin", "such files can run code"),
        ("notes.txt", "is not a folder"),
    ],
)
def test_a_file_is_called_what_it_is(name, phrase, tmp_path, text, capsys):
    touch(name)(tmp_path)
    place = str(tmp_path / name)
    assert phrase in checked(place, capsys)
    assert phrase in ran(place, text, tmp_path, capsys)


def test_the_entry_of_a_cache_stands_for_its_snapshot(generator, tmp_path, capsys):
    snapshot = make_cache(tmp_path / "hub", "org/writer", generator)
    entry = os.path.dirname(os.path.dirname(snapshot))
    for place in (entry, file(entry, "snapshots"), snapshot):
        assert main(["models", "check", place, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["folder"], found["name"], found["source"]) == (snapshot, "org/writer", "cache")
        assert fingerprint(place) == fingerprint(snapshot) != ""


def test_the_entry_of_a_cache_without_a_snapshot_and_the_cache_itself_are_called_so(generator, tmp_path, capsys):
    snapshot = make_cache(tmp_path / "hub", "org/writer", generator)
    assert "such as models--org--writer" in checked(str(tmp_path / "hub"), capsys)
    entry = os.path.dirname(os.path.dirname(snapshot))
    shutil.rmtree(file(entry, "snapshots"))
    assert "the download was not completed" in checked(entry, capsys)


def test_a_run_on_the_entry_of_a_cache_runs_its_snapshot(generator, text, tmp_path):
    entry = os.path.dirname(os.path.dirname(make_cache(tmp_path / "hub", "org/writer", generator)))
    out = tmp_path / "rows.jsonl"
    order = ["run", "generate", "--prompt", "Sum up.", "--max-new-tokens", "3", text, "--model", entry]
    assert main([*order, "--workers", "1", "--threads", "1", "--dtype", "float32", "--out", str(out)]) == 0


@pytest.mark.parametrize(
    ("name", "make"), [("zz.json", os.mkfifo), ("zz.json", link("/dev/zero")), (".git/zz.json", os.mkfifo)]
)
def test_a_fingerprint_opens_no_pipe_and_no_device(name, make, folder):
    os.makedirs(os.path.dirname(file(folder, name)), exist_ok=True)
    special(name, make)(folder)
    code = f"from engine.models.fingerprint import fingerprint; print(fingerprint({folder!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert len(done.stdout.strip()) == 64


def test_a_fingerprint_of_a_plain_folder_is_what_it_was(folder):
    """Answers of earlier versions are found again."""
    import hashlib

    only("config.json", "model.safetensors")(folder)
    digest = hashlib.sha256(b"heddle model 1\n")
    for name in ("config.json", "model.safetensors"):
        status = os.stat(file(folder, name))
        digest.update(f"{len(name)} {status.st_size} {name}\n".encode())
        with open(file(folder, name), "rb") as opened:
            if name == "config.json":
                digest.update(opened.read())
            else:
                digest.update(f"{status.st_mtime_ns}\n".encode())
                digest.update(opened.read(struct.unpack("<Q", opened.read(8))[0]))
    assert fingerprint(folder) == digest.hexdigest()


def test_a_bomb_of_a_header_takes_little_memory_and_time(folder):
    header({"a": tensor([2**62] * 80_000)})(folder)
    code = (
        "import re, sys\n"
        "from engine.cli.main import main\n"
        f"code = main(['models', 'check', {folder!r}])\n"
        "sys.stderr.write(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "dimensions" in done.stdout
    assert int(done.stderr) < 500_000


def test_what_only_a_trial_finds_is_found_by_the_check_alone(folder, capsys):
    """Neither a template nor a pattern: nothing that could hang, so a load does without the trial."""
    change_json(folder, "tokenizer.json", pre_tokenizer={"type": "Unknown"})
    assert "tokenizer.json: the tokenizer does not work" in checked(folder, capsys)


@pytest.mark.parametrize("change", [template(ENDLESS_NUMBER), template("{{ 'x' * 400000000 }}")])
def test_a_trial_ends_within_seconds_and_bounds(change, folder):
    change(folder)
    code = (
        "import json, resource, sys\n"
        "from engine.models.check import check\n"
        f"problems = check({folder!r}).problems\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([problems, used.ru_utime + used.ru_stime, used.ru_maxrss]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100, check=True
    )
    problems, seconds, memory = json.loads(done.stdout)
    assert "chat_template.jinja" in problems[0]
    assert seconds < 5
    assert memory < 500_000


GGUF_TEMPLATES = {
    "open": ("{% if messages %}", "tiny.gguf: the chat template is damaged"),
    "refusing": ("{{ raise_exception('not me') }}", "tiny.gguf: the chat template does not work (not me)"),
    "doubling": (DOUBLING, "tiny.gguf: the chat template takes more memory"),
}


@pytest.mark.parametrize("kind", GGUF_TEMPLATES)
def test_the_template_in_a_gguf_file_is_tried_too(kind, tmp_path, text, capsys):
    written, phrase = GGUF_TEMPLATES[kind]
    model = gguf_files.tiny_model("llama")
    values = gguf_files.metadata(model, "llama") | {"tokenizer.chat_template": written}
    place = str(gguf_files.write(tmp_path / "tiny.gguf", values, gguf_files.tensors(model, "llama")))
    assert phrase in checked(place, capsys)
    assert phrase in ran(place, text, tmp_path, capsys)


def test_a_pattern_beside_a_gguf_file_is_tried_too(tmp_path, capsys):
    gguf_files.model_file(tmp_path / "tiny.gguf", "llama")
    write_json(tmp_path, "tokenizer.json", {"pre_tokenizer": split("(a"), "model": {}})
    assert "tokenizer.json: the tokenizer does not work" in checked(str(tmp_path / "tiny.gguf"), capsys)


def test_static_embeddings_are_called_so(tmp_path, capsys):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    made = SentenceTransformer(modules=[StaticEmbedding(make_vocabulary("bert").tokenizer, embedding_dim=8)])
    made.save(str(tmp_path / "static"))
    assert "this model has static embeddings" in checked(str(tmp_path / "static"), capsys)


def test_layers_that_the_config_leaves_out_are_told(folder, capsys):
    change_json(folder, "config.json", num_hidden_layers=1)
    assert main(["models", "check", folder]) == 0
    assert "The weights have 2 layers, but config.json says 1" in capsys.readouterr().out
