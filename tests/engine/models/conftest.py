"""Model folders that the tests of this folder copy and damage."""

import shutil

import pytest
from model_folders import make_bert

from engine.kernels.linears.half import halving_pays
from engine.kernels.linears.int8_kernels import Int8Kernels


@pytest.fixture(scope="session")
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


@pytest.fixture
def tried_anew():
    """Let what is tried once in a process be tried again, now and after the test."""

    def forget():
        Int8Kernels.find.cache_clear()
        halving_pays.cache_clear()

    forget()
    yield
    forget()
