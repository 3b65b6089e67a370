"""``heddle run`` keeps its journal beside the result: the same command goes on, and what is known is not asked again."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from host_process import ROOT
from model_folders import make_folder

from engine.cli import main as cli
from engine.store.journal import Journal
from engine.workers.manager import ModelManager

DOCUMENTS = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny BERT folder."""
    return make_folder(tmp_path_factory.mktemp("model"), "bert")


@pytest.fixture
def pile(tmp_path):
    place = tmp_path / "pile"
    place.mkdir()
    for i in range(DOCUMENTS):
        (place / f"{i:02}.txt").write_text(f"text number {i} about water and bread")
    return place


@pytest.fixture
def loads(monkeypatch):
    """The folders that a model was loaded from."""
    seen: list[str] = []
    real = ModelManager.open_model
    monkeypatch.setattr(ModelManager, "open_model", lambda self, place, *a: seen.append(place) or real(self, place, *a))
    return seen


def heddle(pile, folder, out, *more: str, task: str = "embed", also=()) -> int:
    places = [str(place) for place in (pile, *also)]
    return cli.main(["run", task, *places, "--model", folder, "--dtype", "float32", "--out", str(out), *more])


def rows_of(path) -> dict[str, dict]:
    with open(path, encoding="utf-8") as file:
        return {os.path.basename(row["path"]): row for row in map(json.loads, file)}


def test_the_same_command_again_loads_no_model_and_writes_the_same_rows(folder, pile, tmp_path, loads, capsys):
    out = tmp_path / "rows.jsonl"
    assert heddle(pile, folder, out) == 0
    first = out.read_bytes()
    assert len(loads) == 1
    assert heddle(pile, folder, out) == 0
    assert out.read_bytes() == first
    assert len(loads) == 1
    assert f"{DOCUMENTS} of {DOCUMENTS} documents are done" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["rows.jsonl", "rows.jsonl.journal"]
    assert heddle(pile, folder, out, "--again") == 0
    assert len(loads) == 2
    assert len(rows_of(out)) == DOCUMENTS


def test_new_and_changed_files_run_and_the_others_do_not(folder, pile, tmp_path, loads):
    out = tmp_path / "rows.jsonl"
    assert heddle(pile, folder, out) == 0
    before = rows_of(out)
    (pile / "03.txt").write_text("something else altogether")
    (pile / "99.txt").write_text("a new one")
    assert heddle(pile, folder, out) == 0
    after = rows_of(out)
    assert len(loads) == 2
    assert len(after) == DOCUMENTS + 1
    assert {name for name in before if after[name] != before[name]} == {"03.txt"}
    assert after["03.txt"]["sha256"] != before["03.txt"]["sha256"]
    assert after["99.txt"]["state"] == "done"


def test_another_command_is_a_new_job_in_the_journal_and_the_old_one_goes_on_with_its_own(
    folder, pile, tmp_path, loads, capsys
):
    out = tmp_path / "rows.jsonl"
    assert heddle(pile, folder, out) == 0
    first = rows_of(out)
    assert heddle(pile, folder, out, "--labels", "water,bread", task="classify") == 0
    assert "keeps 1 of other commands" in capsys.readouterr().err
    assert all("scores" in row["result"] for row in rows_of(out).values())
    assert len(loads) == 2
    assert heddle(pile, folder, out) == 0
    assert rows_of(out) == first
    assert len(loads) == 2


def test_the_same_question_about_more_folders_only_asks_about_the_new_ones(folder, pile, tmp_path, loads, capsys):
    out = tmp_path / "rows.jsonl"
    assert heddle(pile, folder, out) == 0
    more = tmp_path / "more"
    more.mkdir()
    (more / "x.txt").write_text("one more")
    assert heddle(pile, folder, out, also=[more]) == 0
    assert f"{DOCUMENTS} documents were answered by an earlier run" in capsys.readouterr().err
    assert len(rows_of(out)) == DOCUMENTS + 1
    with Journal(str(out) + ".journal") as journal:
        assert len(journal.jobs()) == 2
        assert journal.integrity() == "ok"


def test_a_model_that_changed_is_another_question(folder, pile, tmp_path, loads):
    out = tmp_path / "rows.jsonl"
    assert heddle(pile, folder, out) == 0
    config = os.path.join(folder, "tokenizer_config.json")
    with open(config, encoding="utf-8") as file:
        text = file.read()
    with open(config, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    assert heddle(pile, folder, out) == 0
    assert len(loads) == 2


def test_a_busy_journal_is_exit_code_two_with_a_sentence(folder, pile, tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    with Journal(str(out) + ".journal"):
        assert heddle(pile, folder, out) == 2
    assert "rows.jsonl.journal is in use by another run" in capsys.readouterr().err
    assert not out.exists()


def test_results_among_the_documents_are_not_taken_for_documents(folder, pile):
    out = pile / "rows.jsonl"
    for _ in range(2):
        assert heddle(pile, folder, out, "--report", str(pile / "report.json")) == 0
        assert len(rows_of(out)) == DOCUMENTS


def test_what_failed_is_tried_again_by_the_same_command(folder, pile, tmp_path):
    out = tmp_path / "rows.jsonl"
    (pile / "bad.txt").write_bytes("göod tëxt befóre ".encode() * 30 + b"\xff\xfe\xff" + b" and after" * 30)
    assert heddle(pile, folder, out) == 1
    (pile / "bad.txt").write_text("good text now")
    assert heddle(pile, folder, out) == 0
    assert rows_of(out)["bad.txt"]["state"] == "done"


def test_a_source_that_is_away_leaves_its_documents_waiting_for_the_same_command(folder, pile, tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    away = tmp_path / "away"
    # The files are there when they are added and gone when a worker reads them, as on a disk that is pulled out.
    code = (
        "import os, sys\n"
        "from engine.workers import reading\n"
        "real = reading.prepare_documents\n"
        "def read(assignment, *a):\n"
        f"    if os.path.exists({str(pile)!r}): os.rename({str(pile)!r}, {str(away)!r})\n"
        "    return real(assignment, *a)\n"
        "reading.prepare_documents = read\n"  # before the worker takes it from there
        "from engine.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "run", "embed", str(pile), "--model", folder, "--dtype", "float32"]
        + ["--out", str(out)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    assert f"{DOCUMENTS} documents wait: their disk or share is not there" in ran.stderr
    assert {row["state"] for row in rows_of(out).values()} == {"offline"}
    os.rename(away, pile)
    assert heddle(pile, folder, out) == 0
    assert {row["state"] for row in rows_of(out).values()} == {"done"}
