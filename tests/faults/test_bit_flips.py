"""FAULTS 38: a bit flips in the journal or its log; the engine starts, and nothing altered passes for genuine."""

from __future__ import annotations

from bit_flips import run


def test_three_hundred_flipped_bits_are_never_silent():
    told: list[str] = []
    found = run(300, seed=16, tell_all=told.append)
    assert found == {"flips": 300, "started": 300, "silent": 0}, "\n".join(told)
