"""GGUF files that llama.cpp's own tools made load as what llama.cpp computes of them (make_llama_cpp_models.py)."""

from __future__ import annotations

import dataclasses
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.models.folder import require
from engine.models.formats.gguf.parts import read_files
from engine.models.formats.gguf.tokenizer import read_tokenizer
from engine.models.pretrained import read_weights

HERE = Path(__file__).with_name("llama_cpp_models")
LOGITS = np.load(HERE / "logits.npz")
CUTS = json.loads((HERE / "cuts.json").read_text("utf-8"))
TOKENS = json.loads((HERE / "tokens.json").read_text("utf-8"))
MODELS = sorted(path.name.removesuffix(".tar.xz") for path in HERE.glob("*.tar.xz"))
EVERY, KEPT = 7, 4
SPLIT = {"qwen2": 4, "gemma3": 3}
"""Models in several files, the first of qwen2's without tensors; and how many."""
APART = {"gemma2": 1e-3, "gemma3": 2e-3}
"""RMS of the difference in standard deviations of the logits, where llama.cpp's GELU is a table of 16-bit numbers."""
ELSEWHERE = 1e-5


def logits_of(path, ids):
    model = read_weights(require(path), path, torch.float32, torch.device("cpu"), None, lambda _share: None)
    with torch.inference_mode():
        return model(torch.from_numpy(ids).long()[None], logits_to_keep=KEPT).logits[0, :, ::EVERY].numpy()


def apart(ours, theirs):
    assert ours.shape == theirs.shape
    return float(np.sqrt(np.square(ours - theirs).mean()) / theirs.std())


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """More are slower for models this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The files of every model, unpacked."""
    folder = tmp_path_factory.mktemp("llama_cpp")
    for name in MODELS:
        with tarfile.open(HERE / f"{name}.tar.xz") as archive:
            archive.extractall(folder, filter="data")
    return folder


@pytest.mark.parametrize("key", sorted(key for key in LOGITS if not key.endswith(" ids")))
def test_a_file_of_llama_cpp_gives_its_logits(unpacked, key):
    name, kind = key.split()
    path = str(unpacked / f"{name}-{kind}.gguf")
    assert require(path).dtype.split(" + ")[0] == kind
    assert apart(logits_of(path, LOGITS[f"{name} ids"]), LOGITS[key]) < APART.get(name, ELSEWHERE)


@pytest.mark.parametrize(("name", "parts"), SPLIT.items())
def test_a_model_that_the_converter_split_is_one(unpacked, name, parts):
    paths = sorted(map(str, unpacked.glob(f"{name}-split-*.gguf")))
    assert len(paths) == parts
    # The converter rounds to 8 bits a little otherwise than the quantiser.
    assert apart(logits_of(paths[-1], LOGITS[f"{name} ids"]), LOGITS[f"{name} Q8_0"]) < 0.02


def tokenizer_of(unpacked, name):
    return read_tokenizer(read_files(str(next(unpacked.glob(f"{name}-Q8_0.gguf")))))


@pytest.mark.parametrize("name", list(TOKENS))
def test_texts_become_the_tokens_that_llama_cpp_makes_of_them(unpacked, name):
    tokenizer = tokenizer_of(unpacked, name)
    for case in TOKENS[name]:
        ours = tokenizer(case["text"])["input_ids"]
        assert tokenizer.convert_ids_to_tokens(ours) == tokenizer.convert_ids_to_tokens(case["ids"])
        assert ours == case["ids"]


@pytest.mark.parametrize("pre", list(CUTS))
def test_a_text_is_cut_into_words_as_llama_cpp_cuts_it_by_that_name(unpacked, pre):
    files = read_files(str(unpacked / "smollm-Q8_0.gguf"))
    header = dataclasses.replace(files.first, values=files.first.values | {"tokenizer.ggml.pre": pre})
    tokenizer = read_tokenizer(dataclasses.replace(files, first=header))
    for case, ids in zip(TOKENS["smollm"], CUTS[pre], strict=True):
        assert tokenizer.convert_ids_to_tokens(tokenizer(case["text"])["input_ids"]) == (
            tokenizer.convert_ids_to_tokens(ids)
        )


@pytest.mark.parametrize("name", list(TOKENS))
def test_its_tokens_become_the_text_again(unpacked, name):
    tokenizer = tokenizer_of(unpacked, name)
    for case in TOKENS[name][:4]:
        assert tokenizer.decode(case["ids"], skip_special_tokens=True) == case["text"]
