"""The short form of the ten files: the one with random weights is small."""

from __future__ import annotations

from ten_gguf_files import run


def test_ten_gguf_files_good_split_damaged_and_unknown_end_as_they_should():
    found = run("tiny", "Q4_K", "bf16")
    assert [file["end"] for file in found] == ["slots"] * 6 + ["refused"] * 3 + ["slots"]
    assert all(file["as_it_should"] for file in found), found
