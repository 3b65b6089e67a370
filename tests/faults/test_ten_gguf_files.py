"""The short form of the ten files: the one with random weights is small."""

from __future__ import annotations

import json

from ten_gguf_files import main


def test_ten_gguf_files_good_split_damaged_and_unknown_end_as_they_should(capsys):
    assert main(["--large", "tiny", "--dtype", "bf16"]) == 0
    *files, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert (last["files"], last["as_they_should"]) == (10, 10)
    assert [file["end"] for file in files] == ["slots"] * 6 + ["refused"] * 3 + ["slots"]
