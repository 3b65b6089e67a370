"""Tables at the command: a row of the result for every row of the table, with the table's other columns."""

from __future__ import annotations

import csv
import json

import decoder_models
import pytest
from model_folders import make_folder

from engine.cli.main import main
from engine.engine import Engine

TABLE = """id,product,state,review
1,kettle,new,The kettle boils fast and looks good.
2,lamp,old,The lamp broke after a week.
3,lamp,new,
4,toaster,new,Nobody answered my three mails about the toaster.
"""


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return str(make_folder(tmp_path_factory.mktemp("model"), "bert"))


@pytest.fixture
def run(tmp_path, encoder):
    (tmp_path / "table.csv").write_text(TABLE)

    def ran(*options: str, task: str = "embed", out: str = "out.csv", code: int = 0) -> list[dict]:
        path = tmp_path / out
        assert (
            main(
                ["run", task, str(tmp_path / "table.csv"), "--quiet", "--out", str(path), "--model", encoder, *options]
            )
            == code
        )
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [json.loads(line) for line in file] if out.endswith(".jsonl") else list(csv.DictReader(file))

    ran.table = tmp_path / "table.csv"
    ran.model = ("--model", encoder)
    return ran


def test_a_table_gives_a_row_for_each_of_its_rows_with_its_columns_by_their_names(run):
    rows = run()
    assert [row["locator"] for row in rows] == [f"row {n}, review" for n in range(2, 6)]
    assert [row["state"] for row in rows] == ["done", "done", "skipped", "done"]
    assert [row["product"] for row in rows] == ["kettle", "lamp", "", "toaster"]
    assert [row["columns.state"] for row in rows] == ["new", "old", "", "new"]  # "state" is the document's own


def test_json_lines_keep_the_columns_apart_from_the_result(run):
    rows = run(out="out.jsonl")
    assert rows[0]["columns"] == {"id": "1", "product": "kettle", "state": "new"}
    assert "columns" not in rows[0]["result"]


def test_a_table_that_changed_runs_what_changed_and_keeps_the_rest(run):
    before = run(out="out.jsonl")
    run.table.write_text(TABLE.replace("after a week", "after a day").replace("kettle,new", "kettle,used"))
    after = run(out="out.jsonl")
    same = [was["sha256"] == now["sha256"] for was, now in zip(before, after, strict=True)]
    assert same == [False, False, True, True]
    assert [row["columns"]["state"] for row in after if "columns" in row] == ["used", "old", "new"]
    assert after[3]["seconds"] == before[3]["seconds"]


def test_another_column_is_another_command(run):
    run()
    rows = run("--column", "PRODUCT")
    assert [row["locator"] for row in rows] == [f"row {n}, product" for n in range(2, 6)]
    assert [row["review"] for row in rows][1] == "The lamp broke after a week."


def test_a_column_that_is_not_there_fails_the_file_with_those_that_are(run):
    (row,) = run("--column", "price", code=1)
    assert row["reason"] == "has no column 'price'; its columns are: id, product, state, review"


def test_a_prompt_can_name_columns_and_a_document_without_one_says_so(run, tmp_path):
    prompt = "Is the {column:product} {column:state}? {text}"
    options = (
        "--prompt",
        prompt,
        "--model",
        str(decoder_models.folder("llama", tmp_path / "llama")),
        "--max-new-tokens",
        "1",
    )
    rows = run(*options, task="generate", out="out.jsonl")
    assert [row["state"] for row in rows] == ["done", "done", "skipped", "done"]
    rows = run(*options[:1], prompt + "{column:price}", *options[2:], task="generate", out="out.jsonl", code=1)
    assert rows[0]["error"] == "the prompt names the column 'price', and its row has id, product, state"


def test_labels_are_held_against_a_column_that_has_the_right_ones(run, tmp_path, capsys):
    labels = ("--labels", "kettle\nlamp\ntoaster", "--truth", "product")
    report = tmp_path / "report.json"
    rows = run(*labels, "--report", str(report), task="classify")
    done = [row for row in rows if row["state"] == "done"]
    assert [row["truth"] for row in done] == ["kettle", "lamp", "toaster"]
    right = [row["label"] == row["truth"] for row in done]
    assert [row["right"] for row in done] == ["true" if one else "false" for one in right]
    told = json.loads(report.read_text())["agreement"]
    assert (told["right"], told["of"]) == (sum(right), 3)

    assert main(["run", "classify", str(run.table), *labels, "--out", str(tmp_path / "r.md"), *run.model]) == 0
    assert f"{sum(right)} of 3 labels are right" in capsys.readouterr().err
    assert f"- Right: {sum(right)} of 3" in (tmp_path / "r.md").read_text()

    rows = run("--labels", "kettle\nlamp", "--truth", "kind", task="classify", code=1)
    assert rows[0]["reason"] == ("its row has no column 'kind' with the right label; it has id, product, state")


def test_a_table_that_a_journal_has_as_one_document_is_run_again_as_one_when_it_changes(run, monkeypatch):
    from engine.documents import read

    with monkeypatch.context() as before:
        before.setattr(read, "reader_of", lambda *_: None)  # as before tables were read
        (row,) = run(out="out.jsonl")
    run.table.write_text(TABLE + "5,lamp,new,Another lamp.\n")
    (now,) = run(out="out.jsonl")
    assert now["sha256"] != row["sha256"]
    assert ("locator" in now, now["state"]) == (False, "done")


def test_a_workbook_is_a_result_file_and_the_next_run_over_the_folder_leaves_it_out(run, tmp_path, capsys):
    assert main(["run", "embed", str(run.table), "--out", str(tmp_path / "rows.xlsx"), *run.model]) == 0
    capsys.readouterr()
    assert main(["run", "embed", str(tmp_path), "--out", str(tmp_path / "all.jsonl"), *run.model]) == 0
    assert "files that Heddle wrote were left out" in capsys.readouterr().err
    rows = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert {row["path"] for row in rows} == {str(run.table)}


def test_columns_are_not_held_for_rows_that_are_done_and_come_again_with_a_retry(run, encoder):
    with Engine() as engine:
        engine.open_model(encoder).result()
        engine.create_job("job")
        engine.add_paths("job", [str(run.table)]).result()
        engine.submit("job", "embed", {})
        for _ in range(2):
            assert engine.wait("job", 60)
            pile = engine.coordinator.call(lambda: engine.coordinator.job("job").pile)
            assert not any(document.columns for document in pile.documents.values())
            kept = [result.value["columns"]["id"] for _, result in engine.journal.results("job") if result]
            assert kept == ["1", "2", "4"]
            engine.retry("job", engine.piles.documents_in("job", {"done"}))
