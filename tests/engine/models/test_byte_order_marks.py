"""Byte order marks that editors put before the texts of a model folder are passed over; the folder stays as it is."""

from __future__ import annotations

import codecs
import json
import os
import shutil

import pytest
from model_folders import make_folder

from engine.cli.main import main

TEMPLATE = "{% for message in messages %}{{ message.content }}\n{% endfor %}"
MARKS = {"UTF-8": ("utf-8", codecs.BOM_UTF8), "UTF-16": ("utf-16-le", codecs.BOM_UTF16_LE)}


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    """A tiny text generator in parts, with a template in a file."""
    root = tmp_path_factory.mktemp("made")
    folder = make_folder(root / "writer", "qwen3", modules=False, head="ForCausalLM", positions=256, shard_bytes=20_000)
    with open(os.path.join(folder, "chat_template.jinja"), "w", encoding="utf-8") as file:
        file.write(TEMPLATE)
    with open(os.path.join(folder, "generation_config.json"), "w", encoding="utf-8") as file:
        json.dump({"eos_token_id": 5}, file)
    return folder


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A tiny embedding model whose transformer lies in a folder of its own."""
    return make_folder(tmp_path_factory.mktemp("made") / "reader", "bert", dense=12, subfolder="0_Transformer")


def mark(folder, encoding="utf-8", mark=codecs.BOM_UTF8):
    """Give every JSON file and template in ``folder`` a mark; returns what is there then, by name."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            with open(path, "rb") as file:
                data = file.read()
            if name.endswith((".json", ".jinja")):
                data = mark + data.decode().encode(encoding)
                with open(path, "wb") as file:
                    file.write(data)
            found[os.path.relpath(path, folder)] = data
    return found


def content(folder):
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(place, name), "rb") as file:
                found[os.path.relpath(os.path.join(place, name), folder)] = file.read()
    return found


def assert_alike(found, expected):
    """Equal but for the last digits of numbers: which kernel is fastest is timed for each folder anew."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_alike(found[key], value)
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_alike(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
    else:
        assert found == expected


def results(task, options, folder, tmp_path, name):
    (tmp_path / "one.txt").write_text("the harbour lay grey and still")
    out = tmp_path / f"{name}.jsonl"
    order = ["run", task, *options, str(tmp_path / "one.txt"), "--model", str(folder), "--dtype", "float32"]
    assert main([*order, "--workers", "1", "--threads", "1", "--out", str(out), "--quiet"]) == 0
    row = json.loads(out.read_text())
    return {k: v for k, v in row["result"].items() if k not in ("tokens_per_s", "ttft")}, row["tokens"]


@pytest.mark.parametrize("kind", MARKS)
@pytest.mark.parametrize(
    ("made", "task", "options"),
    [("writer", "generate", ["--prompt", "Sum up: {text}", "--max-new-tokens", "8"]), ("reader", "embed", [])],
)
def test_a_folder_with_marks_runs_as_it_does_without(kind, made, task, options, request, tmp_path, capsys):
    plain = request.getfixturevalue(made)
    marked = shutil.copytree(plain, tmp_path / "marked")
    before = mark(marked, *MARKS[kind])
    assert main(["models", "check", str(marked)]) == 0, capsys.readouterr().out
    expected = results(task, options, plain, tmp_path, "plain")
    assert_alike(results(task, options, marked, tmp_path, "marked"), expected)
    assert content(marked) == before
