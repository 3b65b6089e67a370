"""Exports for reading: a Markdown report, and a folder with one text a document; whole or not at all."""

from __future__ import annotations

import csv
import os

import pytest

from engine.errors import ExportError
from engine.store import texts
from engine.store.export import export
from engine.store.journal import Journal
from engine.store.record import JobRecord, Record, Result
from engine.store.texts import INDEX, Names, safe_stem

NASTY = "<img src=x onerror=alert(1)> | [a](javascript:x) `b` **c** \u202eevil\x1b[31m\n\n# heading\n````\nend"


@pytest.fixture
def journal():
    with Journal() as made:
        made.add_job(JobRecord("job", "my *letters*", 0.0, "generate", {"prompt": "What? | {text}", "system": ""}))
        rows = [
            ("/pile/a/letter.txt", "done", {"text": "A short answer."}),
            ("/pile/b/Letter.txt", "done", {"text": NASTY}),
            ("/pile/c/letter.md", "done", {"label": "manual", "scores": {"manual": 0.9}}),
            ("/pile/CON.txt", "done", {"text": "x" * 500}),
            ("/pile/-rf | x.txt", "failed", None),
            ("/pile/" + "ü" * 120 + ".txt", "done", {"text": "long name"}),
        ]
        for number, (path, state, value) in enumerate(rows, 1):
            record = Record(number, "job", number, path, sha256="ab", tokens=7)
            made.add_documents([record])
            ended = Record(
                number,
                "job",
                number,
                path,
                sha256="ab",
                tokens=7,
                state=state,
                reason="why | not"[: 9 * (value is None)],
            )
            made.finish(ended, None if value is None else Result(number, value))
        yield made


def test_a_report_has_a_row_for_every_document_and_long_results_whole(journal, tmp_path):
    path = str(tmp_path / "report.md")
    assert export(journal, "job", path, "md") == 6
    with open(path, encoding="utf-8") as file:
        text = file.read()
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(table) == 7
    assert all(line.replace("\\|", "").count("|") == 6 for line in table)
    assert "x" * 500 in text
    assert "- Documents: 6 (5 done, 1 failed)" in text
    assert "why \\| not" in text


def test_nothing_in_a_report_is_more_than_text(journal, tmp_path):
    path = str(tmp_path / "report.md")
    export(journal, "job", path, "md")
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    fences = [n for n, line in enumerate(lines) if line.startswith("`````")]
    assert len(fences) == 2, "the fence is longer than the one in the text"
    outside = "\n".join(lines[: fences[0]] + lines[fences[1] + 1 :])
    assert "<img" not in outside
    assert "](javascript" not in outside
    assert "\x1b" not in "".join(lines)
    assert "\u202e" not in "".join(lines)


def test_texts_have_safe_names_each_once_and_an_index_of_all(journal, tmp_path):
    folder = str(tmp_path / "out")
    assert export(journal, "job", folder, "txt") == 6
    names = set(os.listdir(folder))
    assert {"letter.txt", "Letter (2).txt", "letter (3).txt", "_CON.txt", INDEX} <= names
    assert len({name.casefold() for name in names}) == len(names) == 6
    assert all(len(name.encode()) < 140 for name in names)
    with open(os.path.join(folder, "letter.txt"), encoding="utf-8") as file:
        assert file.read() == "A short answer.\n"
    with open(os.path.join(folder, "Letter (2).txt"), encoding="utf-8", newline="") as file:
        assert file.read() == NASTY + "\n"
    with open(os.path.join(folder, INDEX), encoding="utf-8-sig", newline="") as file:
        index = list(csv.reader(file))
    assert len(index) == 7
    assert index[5][:5] == ["", "/pile/-rf | x.txt", "failed", "why | not", "ab"]
    assert os.listdir(tmp_path) == ["out"]


def test_an_earlier_export_is_replaced_and_anything_else_is_not(journal, tmp_path):
    folder = tmp_path / "out"
    export(journal, "job", str(folder), "txt")
    journal.remove_documents("job", [1])
    assert export(journal, "job", str(folder), "txt") == 5
    assert "letter (3).txt" not in os.listdir(folder)
    (folder / "my notes.txt").write_text("precious")
    with pytest.raises(ExportError, match=r"my notes\.txt in it is not of an earlier export"):
        export(journal, "job", str(folder), "txt")
    assert (folder / "my notes.txt").read_text() == "precious"
    assert (folder / "letter (2).txt").exists()


def test_a_disk_that_fills_up_leaves_the_earlier_export_and_no_half_one(journal, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    export(journal, "job", str(folder), "txt")
    before = sorted(os.listdir(folder))
    real, left = texts._write, [2]

    def write(path: str, text: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        real(path, text)

    monkeypatch.setattr(texts, "_write", write)
    with pytest.raises(ExportError, match="disk is full"):
        export(journal, "job", str(folder), "txt")
    assert sorted(os.listdir(folder)) == before
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a/b", "a_b"),
        ("..", "document"),
        ("", "document"),
        ("nul.backup", "_nul.backup"),
        ("~root", "_~root"),
        ("a\u202egpj.exe", "a_gpj.exe"),
        ("trailing. ", "trailing"),
        ("e\u0301", "\u00e9"),
    ],
)
def test_a_stem_is_one_that_every_system_takes(name, wanted):
    assert safe_stem(name) == wanted


def test_many_documents_of_one_name_are_numbered_quickly():
    names = Names()
    given = [names.give("/x/Report.txt") for _ in range(20_000)]
    assert len(set(given)) == 20_000
    assert given[-1] == "Report (20000).txt"
