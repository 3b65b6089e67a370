"""No export is written over a document, by whatever name, and what Heddle wrote is not read as a document."""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from pathlib import Path

import pytest
from model_folders import make_folder

from engine.cli.main import main
from engine.engine import Engine
from engine.errors import ExportError
from engine.store.export import FORMATS

TEXT = "id;text\n1;a table of the user's own\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny encoder."""
    return make_folder(tmp_path_factory.mktemp("model"), "bert")


@pytest.fixture
def pile(tmp_path):
    """A folder with two documents."""
    place = tmp_path / "pile"
    place.mkdir()
    (place / "table.csv").write_text(TEXT)
    (place / "note.txt").write_text("bread and water")
    return place


def heddle(pile, folder, *more: str) -> int:
    return main(["run", "embed", str(pile), "--model", folder, *more])


def state(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


def same(pile: Path, target: Path) -> Path:
    return pile / "table.csv"


def linked_from_pile(pile: Path, target: Path) -> Path:
    shutil.move(pile / "table.csv", target)
    (pile / "table.csv").symlink_to(target)
    return target


def hard_link(pile: Path, target: Path) -> Path:
    os.link(pile / "table.csv", target)
    return target


def link_to_pile(pile: Path, target: Path) -> Path:
    target.symlink_to(pile / "table.csv")
    return target


def through_a_folder(pile: Path, target: Path) -> Path:
    (target.parent / "door").symlink_to(pile)
    return target.parent / "door" / "table.csv"


def other_case(pile: Path, target: Path) -> Path:
    return pile / "TABLE.csv"


def other_form(pile: Path, target: Path) -> Path:
    (pile / "table.csv").rename(pile / unicodedata.normalize("NFD", "tablé.csv"))
    return pile / unicodedata.normalize("NFC", "tablé.csv")


def other_case_in_another_folder_name(pile: Path, target: Path) -> Path:
    return Path(f"{pile}/../pile/./Table.CSV")


WAYS = [
    same,
    linked_from_pile,
    hard_link,
    link_to_pile,
    through_a_folder,
    other_case,
    other_form,
    other_case_in_another_folder_name,
]


@pytest.mark.skipif(os.name != "posix", reason="links")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("option", ["--out", "--report"])
def test_a_command_whose_target_is_a_document_is_refused_and_changes_nothing(
    way, option, pile, folder, tmp_path, capsys
):
    target = way(pile, tmp_path / "target.csv")
    before = state(tmp_path)
    assert heddle(pile, folder, option, str(target)) == 2
    assert "documents are never changed" in capsys.readouterr().err
    after = {name: data for name, data in state(tmp_path).items() if ".journal" not in name}
    assert after == before


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_live_rows_and_the_index_of_vectors_are_not_written_over_a_document(pile, folder, tmp_path, capsys):
    (pile / "table.csv").rename(pile / "v.index.csv")
    os.link(pile / "note.txt", tmp_path / "live.jsonl")
    before = state(pile)
    assert heddle(pile, folder, "--live", str(tmp_path / "live.jsonl")) == 2
    assert heddle(pile, folder, "--out", str(pile / "V.npy")) == 2
    (tmp_path / "x.csv.journal").symlink_to(pile / "note.txt")
    assert heddle(pile, folder, "--out", str(tmp_path / "x.csv")) == 2
    assert "is a link to another file" in capsys.readouterr().err
    assert {name: data for name, data in state(pile).items() if ".journal" not in name} == before
    assert (tmp_path / "live.jsonl").read_bytes() == before["note.txt"]


@pytest.mark.skipif(os.name != "posix", reason="links")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("kind", FORMATS)
def test_no_export_of_a_pile_takes_the_place_of_a_document(way, kind, pile, tmp_path):
    engine = Engine()
    try:
        target = way(pile, tmp_path / "target.csv")
        engine.create_job("job")
        engine.add_paths("job", [str(pile)]).result(30)
        before = state(tmp_path)
        with pytest.raises(ExportError, match=r"documents are never changed|it is a file"):
            engine.export("job", str(target), kind).result(30)
        with pytest.raises(ExportError, match="documents are never changed"):
            engine.grow("job", str(target)).result(30)
        assert state(tmp_path) == before
    finally:
        assert engine.close(5.0)


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_a_dangling_link_in_the_pile_is_its_target(pile, tmp_path):
    target = tmp_path / "rows.csv"
    target.write_text(TEXT)
    (pile / "link.csv").symlink_to(target)
    engine = Engine()
    try:
        engine.create_job("job")
        engine.add_paths("job", [str(pile)]).result(30)
        target.unlink()
        with pytest.raises(ExportError, match="documents are never changed"):
            engine.export("job", str(target), "csv").result(30)
        assert not target.exists()
    finally:
        assert engine.close(5.0)


def test_a_folder_of_texts_with_a_document_in_it_is_not_replaced(pile, folder, tmp_path):
    texts = tmp_path / "texts"
    assert heddle(pile, folder, "--out", f"{texts}/") == 0
    engine = Engine()
    try:
        engine.create_job("job")
        engine.add_paths("job", [str(texts / "note.txt")]).result(30)  # named itself: a document
        before = state(tmp_path)
        with pytest.raises(ExportError, match="documents are never changed"):
            engine.export("job", str(texts), "txt").result(30)
        assert state(tmp_path) == before
    finally:
        assert engine.close(5.0)


def test_a_folder_that_could_not_take_the_texts_is_refused_before_anything_runs(pile, folder, tmp_path, capsys):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "mine.txt").write_text("mine")
    assert heddle(pile, folder, "--out", f"{tmp_path}/texts/", "--model", str(tmp_path / "no-model")) == 2
    assert "is not of an earlier export" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------- Heddle's own
def test_a_second_run_does_not_read_what_the_first_ones_wrote(pile, folder, capsys):
    for name in ("a.csv", "b.jsonl", "c.npy", "d.md", "texts/"):
        more = ("--report", f"{pile}/r-{name[0]}.json", "--live", f"{pile}/l-{name[0]}.jsonl")
        assert heddle(pile, folder, "--out", f"{pile}/{name}", *more) == 0
    (pile / "a.csv").rename(pile / "letter.txt")  # a name proves nothing, neither way
    (pile / "b.csv").write_text("path,name,state,reason\nof,the,user,himself\n")
    (pile / "rows.jsonl").write_text('{"path": "a", "text": "the user\'s own"}\n')
    (pile / "notes.journal").write_text("Dear diary")
    capsys.readouterr()
    assert heddle(pile, folder, "--out", f"{pile}/z.jsonl") == 0
    assert "files that Heddle wrote were left out" in capsys.readouterr().err
    rows = [json.loads(line) for line in (pile / "z.jsonl").read_text().splitlines()]
    assert sorted({os.path.relpath(row["path"], pile) for row in rows}) == [
        *("b.csv", "note.txt", "notes.journal", "rows.jsonl", "table.csv")
    ]


def test_what_heddle_wrote_is_a_document_when_it_is_named(pile, folder, tmp_path):
    assert heddle(pile, folder, "--out", f"{tmp_path}/a.csv") == 0
    assert main(["run", "embed", f"{tmp_path}/a.csv", "--model", folder, "--out", f"{tmp_path}/b.jsonl"]) == 0
    rows = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert {row["path"] for row in rows} == {f"{tmp_path}/a.csv"}
