"""Files with several documents: a reader is added by adding its file, and each of its parts is a row of its own.

The reader here takes files that begin with ``#parts`` and makes a document of each of their paragraphs.
"""

from __future__ import annotations

import contextlib
import csv
import json
import sqlite3
from pathlib import Path

import pytest
from trees import STUB, copy_of_the_engine, in_tree

READER = '''
from engine.documents.readers.base import Part, Reader


class Paragraphs(Reader):
    """Paragraphs of a file that begins with #parts."""

    name = "file of paragraphs"

    @classmethod
    def takes(cls, path, head):
        return head.startswith(b"#parts")

    def parts(self, file, decode):
        for number, text in enumerate(decode(file.read()).text.split("\\n\\n")[1:], 1):
            if text.startswith("broken"):
                raise KeyError(text)
            yield Part(f"paragraph {number}", text)
'''


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    root = copy_of_the_engine(tmp_path_factory.mktemp("tree"))
    (root / "engine/documents/readers/paragraphs.py").write_text(READER, encoding="utf-8")
    return root


class Pile:
    """A folder with one file of parts and one of plain text, and a command over it."""

    def __init__(self, tree: Path, place: Path) -> None:
        self.tree, self.place = tree, place
        self.folder = place / "pile"
        self.folder.mkdir()
        self.file = self.folder / "a.txt"
        (self.folder / "b.txt").write_text("plain text")

    def write(self, *parts: str) -> None:
        self.file.write_text("\n\n".join(["#parts", *parts]))

    def run(self, kind: str = "jsonl", code: int = 0) -> list[dict]:
        out = self.place / f"rows.{kind}"
        command = ["run", "embed", str(self.folder), "--out", str(out), "--model", str(self.tree)]
        in_tree(self.tree, STUB, *command, code=code)
        if kind == "csv":
            return list(csv.DictReader(out.read_text("utf-8-sig").splitlines()))
        return [json.loads(line) for line in out.read_text().splitlines()]


@pytest.fixture
def pile(tree, tmp_path) -> Pile:
    return Pile(tree, tmp_path)


def places(rows: list[dict]) -> list[tuple[str, str, str]]:
    return [(Path(row["path"]).name, row.get("locator", ""), row["state"]) for row in rows]


def test_one_file_becomes_three_rows_that_say_which_part_they_are_and_the_journal_knows(pile, tmp_path):
    pile.write("one", "two", "three")
    rows = pile.run()
    assert places(rows) == [
        ("a.txt", "paragraph 1", "done"),
        ("a.txt", "paragraph 2", "done"),
        ("a.txt", "paragraph 3", "done"),
        ("b.txt", "", "done"),
    ]
    assert len({row["sha256"] for row in rows}) == 4
    assert "locator" not in rows[-1]
    with contextlib.closing(sqlite3.connect(tmp_path / "rows.jsonl.journal")) as journal:
        found = journal.execute("SELECT locator FROM document ORDER BY position").fetchall()
    assert [row[0] for row in found] == ["paragraph 1", "paragraph 2", "paragraph 3", ""]


def test_a_spreadsheet_has_a_column_for_the_part(pile):
    pile.write("one", "two")
    rows = pile.run("csv")
    assert [row["locator"] for row in rows] == ["paragraph 1", "paragraph 2", ""]


def test_the_same_command_again_adds_no_part_twice_and_finds_those_that_are_new_or_changed(pile):
    pile.write("one", "two")
    before = pile.run()
    pile.write("one", "two changed", "three")
    rows = pile.run()
    assert places(rows) == [
        ("a.txt", "paragraph 1", "done"),
        ("a.txt", "paragraph 2", "done"),
        ("b.txt", "", "done"),
        ("a.txt", "paragraph 3", "done"),
    ]
    assert [new["sha256"] == old["sha256"] for new, old in zip(rows, before, strict=False)] == [True, False, True]
    assert (rows[0]["worker"], rows[0]["seconds"]) == (before[0]["worker"], before[0]["seconds"])  # not run again


def test_a_part_that_cannot_be_read_is_a_row_and_those_before_it_are_too(pile):
    pile.write("one", "broken here", "three")
    rows = pile.run(code=1)
    assert places(rows) == [("a.txt", "paragraph 1", "done"), ("a.txt", "", "failed"), ("b.txt", "", "done")]
    assert rows[1]["error"] == "not a readable file of paragraphs: 'broken here'"
