"""A growing export has a whole row for every document that has ended, none twice, and never more than the journal."""

from __future__ import annotations

import errno
import json
import os

import pytest
from engine_helpers import states_of
from model_folders import make_folder

from engine.api.plan import Plan
from engine.cli.run import run
from engine.cli.run_options import RunOptions
from engine.errors import ExportError, UsageError
from engine.store import growing


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny BERT folder."""
    return make_folder(tmp_path_factory.mktemp("model"), "bert")


@pytest.fixture
def engine(fresh_engine, folder):
    """An engine with a tiny model, two workers, and a pile of 40 texts of which one is empty."""
    made = fresh_engine()
    made.set_plan(Plan("cpu", 2, 1, "float32")).result(30)
    made.open_model(folder).result(60)
    made.create_job("j")
    made.add_texts("j", [(f"{n:02}", "" if n == 7 else f"text number {n}") for n in range(40)]).result(30)
    return made


def rows(path):
    text = path.read_text("utf-8")
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def by_path(found):
    assert len({row["path"] for row in found}) == len(found), "a document was told twice"
    return {row["path"]: row for row in found}


def notices(engine):
    return [notice.text for notice in engine.snapshot().notices]


def test_rows_are_appended_as_documents_end_and_equal_those_of_an_export(engine, tmp_path):
    grown, whole = tmp_path / "grown.jsonl", tmp_path / "whole.jsonl"
    engine.submit("j", "embed")
    assert engine.grow("j", str(grown)).result(30) >= 1  # the empty text was skipped at once
    while not engine.wait("j", 0.01):
        engine.snapshot()
        before = grown.read_bytes()
        assert before.endswith(b"\n"), "a reader saw half a row"
    engine.journal.flush(10)
    engine.snapshot()
    assert engine.end_growing("j").result(30) == 40
    engine.export("j", str(whole), "jsonl").result(30)
    assert by_path(rows(grown)) == by_path(rows(whole))


def test_a_document_that_is_tried_again_gets_another_row_and_the_last_counts(engine, tmp_path):
    grown = tmp_path / "grown.jsonl"
    engine.submit("j", "embed")
    engine.wait("j")
    engine.journal.flush(10)
    engine.snapshot()
    assert engine.grow("j", str(grown)).result(30) == 40
    first = min(states_of(engine, "j"))
    engine.retry("j", [first])
    engine.wait("j")
    engine.journal.flush(10)
    engine.snapshot()
    assert engine.end_growing("j").result(30) == 41
    found = rows(grown)
    assert found[-1]["path"] == "00"
    assert [row["path"] for row in found].count("00") == 2


def test_a_full_disk_leaves_whole_rows_and_is_told_once(engine, tmp_path, monkeypatch):
    grown = tmp_path / "grown.jsonl"
    engine.grow("j", str(grown)).result(30)
    before = grown.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    engine.submit("j", "embed")
    engine.wait("j")
    engine.journal.flush(10)
    monkeypatch.setattr(growing.os, "fsync", full)
    engine.snapshot()
    engine.end_growing("j").result(30)
    monkeypatch.undo()
    assert grown.read_bytes() == before
    told = [text for text in notices(engine) if "grown.jsonl" in text]
    assert len(told) == 1
    assert "disk is full" in told[0]
    assert engine.journal.counts("j")["done"] == 39  # nothing else is lost


def test_a_file_that_somebody_changed_is_left_alone(engine, tmp_path):
    grown = tmp_path / "grown.jsonl"
    engine.grow("j", str(grown)).result(30)
    grown.write_bytes(b"mine\n")
    engine.submit("j", "embed")
    engine.wait("j")
    engine.journal.flush(10)
    engine.snapshot()
    engine.end_growing("j").result(30)
    assert grown.read_bytes() == b"mine\n"
    assert any("another program changed it" in text for text in notices(engine))


def test_what_cannot_be_written_at_all_is_refused(engine, tmp_path):
    with pytest.raises(ExportError, match="does not exist"):
        engine.grow("j", str(tmp_path / "none" / "x.jsonl")).result(30)
    with pytest.raises(UsageError):
        engine.grow("none", str(tmp_path / "x.jsonl"))
    assert engine.end_growing("j").result(30) == 0


def test_a_command_writes_live_rows_and_goes_on_with_them(folder, tmp_path, capsys):
    pile = tmp_path / "pile"
    pile.mkdir()
    for n in range(12):
        (pile / f"{n}.txt").write_text(f"text number {n}", "utf-8")
    live, out = tmp_path / "live.jsonl", tmp_path / "out.jsonl"
    order = RunOptions("embed", {}, [str(pile)], folder, Plan("cpu", 2, 1, "float32"), str(out), live=str(live))
    assert run(order) == 0
    assert by_path(rows(live)) == by_path(rows(out))
    (pile / "12.txt").write_text("one more", "utf-8")
    assert run(order) == 0
    assert len(by_path(rows(live))) == 13
    assert by_path(rows(live)) == by_path(rows(out))
    with pytest.raises(UsageError, match="--live"):
        run(RunOptions("embed", {}, [str(pile)], folder, live=str(tmp_path / "x.csv")))
    assert os.path.isfile(live)
