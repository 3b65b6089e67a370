"""The list of models: starter first, then recent, chosen folders and the cache, each real folder once."""

import os
import shutil

import gguf_files
import pytest
from model_folders import make_bert, make_cache, write_json

import engine.models.catalog as module
from engine.errors import Cancelled
from engine.models.catalog import cache_folder, cached_models, list_models
from engine.models.supplied import SUPPLIED


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_bert(tmp_path_factory.mktemp("tiny") / "tiny-encoder")


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    """An empty cache of this test's own."""
    for name in ("HF_HOME", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "LLAMA_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "none"))
    return tmp_path / "hub"


OURS = [(each.name, each.label) for each in SUPPLIED]


def names(models):
    return [(model.source, model.name) for model in models]


def test_what_came_with_heddle_is_listed_when_there_is_nothing_else():
    models = list_models()
    assert names(models) == OURS
    assert models[0].usable


def test_the_order_is_starter_recent_folders_cache(tiny, tmp_path, hub):
    recent = shutil.copytree(tiny, tmp_path / "lately")
    make_bert(tmp_path / "pile" / "of" / "models" / "deep")
    make_bert(tmp_path / "pile" / "near", modules=False)
    make_cache(hub, "org/cached", tiny)
    models = list_models([str(tmp_path / "pile")], [str(recent), str(tmp_path / "gone")])
    assert names(models) == [
        *OURS,
        ("recent", "lately"),
        ("folder", "near"),
        ("folder", "deep"),
        ("cache", "org/cached"),
    ]
    assert all(model.usable for model in models if model.source != "writer")


def test_each_real_folder_is_listed_once(tiny, tmp_path, hub):
    snapshot = make_cache(hub, "org/cached", tiny)
    os.symlink(tiny, tmp_path / "alias")
    models = list_models([tiny, str(tmp_path / "alias"), os.path.dirname(tiny)], [tiny, snapshot])
    assert names(models) == [*OURS, ("recent", "tiny-encoder"), ("recent", "org/cached")]


def test_the_starter_stays_the_starter_when_it_is_recent():
    starter = list_models()[0].folder
    assert names(list_models([starter], [starter])) == OURS


def test_a_model_that_cannot_be_used_is_listed_with_its_reason(tiny, tmp_path):
    broken = shutil.copytree(tiny, tmp_path / "models" / "broken")
    os.remove(broken / "model.safetensors")
    model = list_models([str(tmp_path / "models")])[len(OURS)]
    assert (model.name, model.usable) == ("broken", False)
    assert "model.safetensors is missing" in model.problems[0]


def test_folders_of_other_programs_and_module_folders_are_not_listed(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "top" / "model-a")
    write_json(str(tmp_path / "top" / "editor"), "config.json", {"theme": "dark"})
    write_json(str(tmp_path / "top" / "list"), "config.json", [1])
    (tmp_path / "top" / "empty").mkdir()
    shutil.copytree(tiny, tmp_path / "top" / ".hidden" / "model-b")
    assert names(list_models([str(tmp_path / "top")]))[len(OURS) :] == [("folder", "model-a")]


def test_a_model_four_folders_down_is_too_deep(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "top" / "1" / "2" / "three")
    shutil.copytree(tiny, tmp_path / "top" / "1" / "2" / "3" / "four")
    assert names(list_models([str(tmp_path / "top")]))[len(OURS) :] == [("folder", "three")]


def test_a_loop_of_links_ends(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "top" / "m")
    os.symlink(tmp_path / "top", tmp_path / "top" / "loop")
    assert names(list_models([str(tmp_path / "top")]))[len(OURS) :] == [("folder", "m")]


def test_the_number_of_models_and_folders_is_bounded(tiny, tmp_path, monkeypatch):
    for index in range(6):
        shutil.copytree(tiny, tmp_path / "top" / f"m{index}")
    monkeypatch.setattr(module, "MODELS", 4)
    assert len(list_models([str(tmp_path / "top")])) == 4
    monkeypatch.setattr(module, "FOLDERS", 3)  # the chosen one and two below
    assert len(list_models([str(tmp_path / "top")])) == len(OURS) + 2


def test_the_cache_shows_the_revision_that_main_names(tiny, hub):
    wanted = make_cache(hub, "org/m", tiny, revision="1" * 40)
    other = make_cache(hub, "org/m", tiny, revision="2" * 40)
    (hub / "models--org--m" / "refs" / "main").write_text("1" * 40)
    assert list(cached_models(str(hub))) == [wanted]
    (hub / "models--org--m" / "refs" / "main").unlink()
    os.utime(wanted, (1000, 1000))
    os.utime(other, (2000, 2000))
    assert list(cached_models(str(hub))) == [other]
    (hub / "models--org--m" / "refs" / "main").write_text("../../../elsewhere")
    assert list(cached_models(str(hub))) == [other]


def test_a_cache_without_models_or_with_half_ones_is_quiet(hub):
    assert list(cached_models(str(hub))) == []
    (hub / "models--org--half" / "snapshots").mkdir(parents=True)
    (hub / "models--org--half" / "refs").mkdir()
    (hub / "models--org--half" / "refs" / "main").write_bytes(b"\xff\xfe")
    (hub / "datasets--org--d" / "snapshots" / "x").mkdir(parents=True)
    assert list(cached_models(str(hub))) == []


def test_a_repository_of_a_cache_can_be_chosen_as_a_folder(tiny, tmp_path):
    make_cache(tmp_path / "moved", "org/m", tiny)
    assert names(list_models([str(tmp_path / "moved")]))[len(OURS) :] == [("folder", "org/m")]


def test_the_cache_lies_where_huggingface_hub_has_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert cache_folder() == str(tmp_path / ".cache" / "huggingface" / "hub")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == str(tmp_path / "xdg" / "huggingface" / "hub")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    assert cache_folder() == str(tmp_path / "home" / "hub")
    monkeypatch.setenv("HUGGINGFACE_HUB_CACHE", str(tmp_path / "old"))
    assert cache_folder() == str(tmp_path / "old")
    monkeypatch.setenv("HF_HUB_CACHE", "~/mine")
    assert cache_folder() == str(tmp_path / "mine")


def test_a_missing_starter_is_listed_with_what_to_do(monkeypatch):
    monkeypatch.setattr("engine.models.starter.PACKAGE", "no_such_package_of_ours")
    model = list_models()[0]
    assert (model.name, model.source, model.usable) == (OURS[0][1], "starter", False)
    assert "Run start.py again" in model.problems[0]


def test_the_search_stops_when_it_is_cancelled(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "top" / "m")
    calls = []

    def cancelled():
        calls.append(None)
        return len(calls) > 2

    with pytest.raises(Cancelled):
        list_models([str(tmp_path / "top")], cancelled=cancelled)
    assert len(calls) == 3


def test_gguf_files_are_listed_each_model_once_and_no_projectors(tmp_path, hub):
    folder = tmp_path / "pile" / "maker"
    folder.mkdir(parents=True)
    gguf_files.model_file(folder / "tiny.Q8_0.gguf", "llama")
    gguf_files.split_file(folder, "qwen2", 2)
    (folder / "mmproj-tiny.gguf").write_bytes(b"GGUF")
    (folder / "cut.gguf").write_bytes(b"GGUF")
    found = list_models([str(tmp_path / "pile")], [str(folder / "tiny.Q8_0.gguf")])[len(OURS) :]
    assert names(found) == [("recent", "tiny.Q8_0"), ("folder", "cut"), ("folder", "tiny")]
    assert [model.usable for model in found] == [True, False, True]
    assert found[2].folder == str(folder / "tiny-00001-of-00002.gguf")


def test_gguf_files_beside_their_models_config_are_listed_and_not_the_folder(tmp_path, hub):
    snapshot = hub / "models--maker--tiny-GGUF" / "snapshots" / ("1" * 40)
    for folder in (tmp_path / "pile" / "tiny", snapshot, snapshot / "Q8_0"):
        folder.mkdir(parents=True)
        gguf_files.model_file(folder / f"{folder.name[:4]}.gguf", "llama")
        write_json(folder, "config.json", {"model_type": "llama"})
    found = list_models([str(tmp_path / "pile")])[len(OURS) :]
    assert names(found) == [("folder", "tiny"), ("cache", "1111"), ("cache", "Q8_0")]
    assert all(model.usable for model in found)
    assert names(list_models([str(tmp_path / "pile" / "tiny")]))[len(OURS)] == ("folder", "tiny")


def test_the_folders_that_jan_lm_studio_and_llama_cpp_were_told_to_use_are_searched(tmp_path, monkeypatch, hub):
    home, jan, studio = tmp_path / "nobody", tmp_path / "jan-data", tmp_path / "studio-models"
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("APPDATA", str(home / "data"))
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "llama-cache"))
    for folder in (
        jan / "llamacpp" / "models" / "Tiny-Chat",
        home / "data" / "Jan" / "data" / "llamacpp" / "models" / "Tiny-Base",
        studio / "maker" / "tiny-GGUF",
        tmp_path / "llama-cache",
    ):
        folder.mkdir(parents=True)
        name = "model" if "models" in folder.parts else f"of-{folder.name}"
        gguf_files.model_file(folder / f"{name}.gguf", "llama")
    write_json(home / "data" / "Jan", "settings.json", {"data_folder": str(jan)})
    (home / ".lmstudio").mkdir()
    write_json(home / ".lmstudio", "settings.json", {"downloadsFolder": str(studio)})
    expected = [
        ("LM Studio", "of-tiny-GGUF"),
        ("Jan", "Tiny-Chat"),
        ("Jan", "Tiny-Base"),
        ("llama.cpp", "of-llama-cache"),
    ]
    assert names(list_models())[len(OURS) :] == expected
    for odd in ("{", '{"downloadsFolder": 3}', '{"downloadsFolder": "../elsewhere"}'):
        (home / ".lmstudio" / "settings.json").write_text(odd)
        assert names(list_models())[len(OURS) :] == expected[1:]


def test_what_other_programs_keep_is_listed_under_their_names(tmp_path, monkeypatch):
    home = tmp_path / "somebody"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setenv("OLLAMA_MODELS", str(home / ".ollama" / "models"))
    studio = home / ".lmstudio" / "models" / "maker" / "tiny-GGUF"
    manifests = home / ".ollama" / "models" / "manifests" / "registry.ollama.ai" / "library" / "tiny"
    blobs = home / ".ollama" / "models" / "blobs"
    for folder in (studio, manifests, blobs):
        folder.mkdir(parents=True)
    gguf_files.model_file(studio / "tiny-Q8_0.gguf", "llama")
    gguf_files.model_file(blobs / "sha256-abc", "qwen2")
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:abc"}
    write_json(manifests, "1b", {"layers": [{"mediaType": "text/plain", "digest": "sha256:def"}, layer]})
    write_json(manifests, "gone", {"layers": [{**layer, "digest": "sha256:0"}]})
    write_json(manifests, "evil", {"layers": [{**layer, "digest": "sha256:../../../.lmstudio"}]})
    (manifests / "cut").write_text("{")
    found = list_models()[len(OURS) :]
    assert names(found) == [("LM Studio", "tiny-Q8_0"), ("Ollama", "tiny:1b")]
    assert all(model.usable and model.capabilities == ("generate",) for model in found)
