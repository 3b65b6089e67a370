"""Documents without anything to read are skipped as empty whatever the model; a guessed encoding shows in every row."""

from __future__ import annotations

import csv
import json
import os

import pytest
from model_folders import make_folder

from engine.cli.main import main

INVISIBLE = {
    "zero-width.txt": "\u200b\u200b\n",
    "soft-hyphen.txt": "\u00ad\u2060\n",
    "escape.txt": "\x1b\x08\n",
    "combining.txt": "\u0301\n",
}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A tiny encoder."""
    return make_folder(tmp_path_factory.mktemp("encoder"), "bert")


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    """A tiny text generator."""
    place = tmp_path_factory.mktemp("writer")
    return make_folder(place, "qwen3", modules=False, head="ForCausalLM", positions=256)


def rows_of(path) -> dict[str, dict]:
    with open(path, encoding="utf-8") as file:
        return {os.path.basename(row["path"]): row for row in map(json.loads, file)}


@pytest.mark.parametrize("task", ["classify", "generate"])
def test_what_nobody_can_read_is_skipped_as_empty(task, encoder, writer, tmp_path):
    pile = tmp_path / "pile"
    pile.mkdir()
    for name, text in INVISIBLE.items():
        (pile / name).write_text(text)
    (pile / "bread.txt").write_text("bread \u200b and water")
    options = {
        "classify": ["--labels", "water,bread", "--model", encoder],
        "generate": ["--prompt", "Say: {text}", "--max-new-tokens", "2", "--model", writer],
    }
    out = tmp_path / "o.jsonl"
    assert main(["run", task, str(pile), "--out", str(out), *options[task]]) == 0
    rows = rows_of(out)
    assert rows.pop("bread.txt")["state"] == "done"
    assert {(row["state"], row["error"]) for row in rows.values()} == {("skipped", "empty")}
    assert len(rows) == len(INVISIBLE)


def test_a_text_of_which_the_tokenizer_leaves_nothing_is_skipped_too(encoder, tmp_path):
    (tmp_path / "a.txt").write_text("\ufffd\ufffd \ufffd")  # shows as signs of damage, and BERT's normalizer drops them
    out = tmp_path / "o.jsonl"
    for more in ([], ["--prompt", "query: "]):
        assert main(["run", "embed", str(tmp_path / "a.txt"), "--out", str(out), "--model", encoder, *more]) == 0
        (row,) = rows_of(out).values()
        assert row["state"] == "skipped"
        assert row["error"].startswith("empty: the model's tokenizer finds nothing to read")


def test_a_guessed_encoding_keeps_its_confidence_in_rows_and_exports_and_a_low_one_warns(encoder, tmp_path):
    pile = tmp_path / "pile"
    pile.mkdir()
    (pile / "sure.txt").write_text("The kettle is on.")
    (pile / "guess.txt").write_bytes("Καλημέρα, το πλυντήριο δεν έχει έρθει ακόμα.".encode("cp1253"))
    (pile / "doubt.txt").write_bytes("żółw".encode("iso8859_2"))
    arguments = ["run", "embed", str(pile), "--model", encoder]
    for name in ("o.jsonl", "o.csv", "o.npy"):
        assert main([*arguments, "--out", str(tmp_path / name)]) == 0
    rows = rows_of(tmp_path / "o.jsonl")
    assert rows["sure.txt"]["confidence"] == 1.0
    assert 0.7 < rows["guess.txt"]["confidence"] < 1
    assert "is a guess" not in rows["guess.txt"].get("warning", "")
    assert 0 < rows["doubt.txt"]["confidence"] < 0.7
    assert "is a guess (confidence 0." in rows["doubt.txt"]["warning"]
    for name in ("o.csv", "o.index.csv"):
        with open(tmp_path / name, encoding="utf-8-sig", newline="") as file:
            found = {os.path.basename(row["path"]): float(row["confidence"]) for row in csv.DictReader(file)}
        assert found == {name: row["confidence"] for name, row in rows.items()}
