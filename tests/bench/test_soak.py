"""The short form of the soak: every document gets its own key back, and a mixed-up slot would be seen."""

from __future__ import annotations

import threading

import pytest
from copying_model import make_folder, make_prompt
from soak import right, soak

from engine.inference.generation.slots import SlotMemory


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(str(tmp_path_factory.mktemp("copying")))


def test_three_hundred_documents_through_two_workers_get_their_own_keys_back(folder, tmp_path):
    found = soak(folder, documents=300, workers=2, slots=16, journal=str(tmp_path / "soak.journal"))
    assert right(found), found
    assert found["finish_reasons"] == ["end"]
    assert found["closed"]
    assert found["growth"] < 0.1


def test_a_slot_that_is_not_moved_when_a_gap_closes_returns_wrong_keys(folder, tmp_path, monkeypatch):
    real = SlotMemory.copy

    def copy(memory, *arguments):
        if threading.current_thread().name.startswith("loader"):  # the gates at load would see it at once
            real(memory, *arguments)

    monkeypatch.setattr(SlotMemory, "copy", copy)
    found = soak(folder, documents=60, workers=1, slots=16, journal=str(tmp_path / "soak.journal"))
    assert found["wrong"]
    assert not right(found)


def test_keys_are_different_and_stand_in_their_prompts():
    keys = set()
    for number in range(500):
        prompt, key = make_prompt(number, 40)
        words = prompt.split()
        assert len(words) == 40
        assert words[-1] == "?"
        assert set(key.split()) < set(words)
        keys.add(key)
    assert len(keys) == 500
