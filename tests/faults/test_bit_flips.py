"""FAULTS 38: a bit flips in the journal or its log; the engine starts, and nothing altered passes for genuine."""

from __future__ import annotations

import shutil

import pytest
from bit_flips import flipped, make, run, through_store

from engine.store.file import PAGE


def test_three_hundred_flipped_bits_are_never_silent():
    told: list[str] = []
    found = run(300, seed=16, tell_all=told.append)
    assert found == {"flips": 300, "started": 300, "silent": 0}, "\n".join(told)


@pytest.mark.timeout(90)
def test_a_page_that_says_it_has_more_rows_than_it_has_does_not_hold_the_start_up(tmp_path):
    """What lies behind its rows is then read as rows, whose numbers go back: reading on from them never ended."""
    (tmp_path / "made").mkdir()
    truth, _ = make(tmp_path / "made")
    pages = len(truth.files["pile.journal"]) // PAGE
    for page in range(pages):
        for bit in range(8):
            work = tmp_path / "work"
            work.mkdir()
            started, wrong = through_store(truth, flipped(truth, "pile.journal", 8 * (page * PAGE + 4) + bit, work))
            assert started, wrong
            assert wrong == []
            shutil.rmtree(work)
