"""Symbolic links in a model folder: a cache's own are fine and shown, others are refused."""

import os
import shutil

from model_folders import make_cache

from engine.models.folder import look, require


def file(folder, name):
    return os.path.join(folder, name)


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
