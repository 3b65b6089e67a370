"""The command line: rows, reports and exit codes."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from host_process import ROOT
from model_folders import make_folder
from oracle import TEXTS

from engine.cli import main as cli
from engine.cli.main import main

KEYS = [
    "path",
    "sha256",
    "encoding",
    "confidence",
    "state",
    "task",
    "result",
    "tokens",
    "unknown_share",
    "coverage",
    "seconds",
    "worker",
    "error",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny BERT folder."""
    return make_folder(tmp_path_factory.mktemp("model"), "bert")


@pytest.fixture
def pile(tmp_path):
    """A folder with one file a text."""
    place = tmp_path / "pile"
    place.mkdir()
    for i, text in enumerate(TEXTS):
        (place / f"{i}.txt").write_text(text)
    return str(place)


def rows_of(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_run_writes_a_row_per_document_in_pile_order_and_a_report(folder, pile, tmp_path, capsys):
    out, report = str(tmp_path / "o.jsonl"), str(tmp_path / "r.json")
    code = main(
        [
            "run",
            "classify",
            "--labels",
            "water,bread,error",
            pile,
            "--model",
            folder,
            "--workers",
            "2",
            "--threads",
            "1",
        ]
        + ["--dtype", "float32", "--out", out, "--report", report]
    )
    assert code == 0
    rows = rows_of(out)
    assert [list(row) for row in rows] == [KEYS] * len(TEXTS)
    assert [os.path.basename(row["path"]) for row in rows] == [f"{i}.txt" for i in range(len(TEXTS))]
    assert {row["state"] for row in rows} == {"done"}
    assert set(rows[0]["result"]["scores"]) == {"water", "bread", "error"}
    with open(report, encoding="utf-8") as file:
        told = json.load(file)
    assert told["counts"]["done"] == len(TEXTS)
    assert told["plan"] == {"device": "cpu", "workers": 2, "threads": 1, "dtype": "float32", "slots": 0}
    assert 0 < told["gil_share"] <= 1
    assert told["documents_per_s"] > 0
    assert told["tokens_per_s"] > 0
    assert told["versions"]["torch"]
    assert sum(t["cpu"] for t in told["threads"]) == pytest.approx(told["process_cpu"], rel=0.05)
    assert told["journal"] == "ok"
    assert "rows written" in capsys.readouterr().err


def test_without_out_a_table_is_printed(folder, pile, capsys):
    assert main(["run", "embed", pile, "--model", folder]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(TEXTS)
    assert all(line.startswith("done") for line in lines)


def test_vectors_go_to_npy_with_an_index_and_into_jsonl(folder, pile, tmp_path):
    out, lines = str(tmp_path / "v.npy"), str(tmp_path / "v.jsonl")
    assert main(["run", "embed", pile, "--model", folder, "--dtype", "float32", "--out", out]) == 0
    assert main(["run", "embed", pile, "--model", folder, "--dtype", "float32", "--out", lines]) == 0
    vectors = np.load(out, mmap_mode="r")
    assert vectors.shape == (len(TEXTS), 32)
    np.testing.assert_allclose(vectors, [row["result"]["vector"] for row in rows_of(lines)], atol=1e-5)
    with open(str(tmp_path / "v.index.csv"), encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.reader(file))) == len(TEXTS) + 1


def test_a_failed_document_makes_exit_code_one_and_keeps_the_rest(folder, pile, tmp_path):
    (tmp_path / "pile" / "bad.txt").write_bytes(
        "göod tëxt befóre ".encode() * 30 + b"\xff\xfe\xff" + b" and after" * 30
    )
    out = str(tmp_path / "o.jsonl")
    assert main(["run", "embed", pile, "--model", folder, "--out", out]) == 1
    rows = {os.path.basename(row["path"]): row for row in rows_of(out)}
    assert rows["bad.txt"]["state"] == "failed"
    assert "offset" in rows["bad.txt"]["error"]
    assert sum(row["state"] == "done" for row in rows.values()) == len(TEXTS)
    assert main(["run", "embed", pile, "--model", folder, "--out", out, "--on-bad-bytes", "replace"]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "classify", "--labels", "one", "{pile}"], "two labels"),
        (["run", "embed", "{pile}/nothing"], "no file or folder"),
        (["run", "embed", "{pile}", "--model", "{pile}"], "config.json"),
        (["run", "embed", "{pile}", "--out", "{pile}/o.docx"], ".jsonl"),
        (["run", "embed", "{pile}", "--out", "{pile}/none/o.csv"], "does not exist"),
        (["run", "embed", "{pile}", "--encoding", "klingon"], "encoding"),
        (["run", "embed", "{pile}", "--workers", "-1"], "between"),
    ],
)
def test_wrong_usage_is_exit_code_two_with_a_sentence(pile, arguments, words, capsys):
    assert main([a.replace("{pile}", pile) for a in arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["run"], ["run", "dance", "x"], ["run", "classify", "x"], ["run", "embed"]])
def test_an_incomplete_command_is_exit_code_two(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_an_empty_folder_says_that_nothing_was_found(folder, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["run", "embed", str(tmp_path / "empty"), "--model", folder]) == 2
    assert "No documents" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_an_interrupt_keeps_what_was_done_and_is_exit_code_130(folder, tmp_path):
    place = tmp_path / "many"
    place.mkdir()
    for i in range(1500):
        (place / f"{i:04}.txt").write_text(f"{i} " + " ".join(TEXTS * 20))
    out = str(tmp_path / "o.jsonl")
    code = (
        "import os, sys\n"
        "from engine.jobs.document_states import DocumentStates\n"
        "real = DocumentStates.done\n"
        "def done(self, *a):\n"
        "    real(self, *a); os.write(1, b'some\\n')\n"
        "DocumentStates.done = done\n"
        "from engine.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, "run", "embed", str(place), "--model", folder, "--out", out],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            assert process.stdout.readline() == "some\n"
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()  # whatever failed here must not run on beside the tests that follow
    assert process.returncode == 130, errors
    assert "Interrupted" in errors
    rows = rows_of(out)
    assert len(rows) == 1500
    assert {row["state"] for row in rows} == {"done", "cancelled"}


def test_models_check_tells_what_a_folder_is(folder, tmp_path, capsys):
    assert main(["models", "check", folder, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["family"], facts["dimension"], facts["usable"]) == ("bert", 32, True)
    assert main(["models", "check", str(tmp_path)]) == 1
    assert "config.json" in capsys.readouterr().out


def test_models_list_begins_with_the_starter(folder, capsys):
    assert main(["models", "list", folder, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed[0]["source"] == "starter"
    assert any(facts["folder"] == folder for facts in listed)


def test_doctor_tells_of_the_machine(capsys):
    assert main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["cores"] >= 1
    assert told["devices"][0]["id"] == "cpu"
    assert told["starter_model"].startswith("present")
    assert main(["doctor"]) == 0
    assert "instruction set" in capsys.readouterr().out


def test_every_setting_of_every_task_is_an_option(capsys):
    from engine import tasks
    from engine.tasks.base import specification

    for name, task in tasks.TASKS.items():
        with pytest.raises(SystemExit):
            main(["run", name, "--help"])
        text = capsys.readouterr().out
        for setting in specification(task).settings:
            assert "--" + setting.name.replace("_", "-") in text


def test_the_sample_pile_runs_from_any_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["sample", "--model", "starter"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 240


def test_the_version_is_the_packages(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert cli.__version__ in capsys.readouterr().out


def test_bench_embed_measures_both_sides_on_the_same_texts(capsys):
    assert main(["bench", "embed", "--pairs", "1", "--texts", "64", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["min_cosine"] >= 0.999
    assert told["ratio"] > 0
    assert told["ours_texts_per_s"] > 0
    assert told["peer_texts_per_s"] > 0


def test_the_benchmark_text_is_english_of_the_right_length():
    from engine.bench.english import texts
    from engine.models.folder import require
    from engine.models.pretrained import read_tokenizer
    from engine.models.starter import starter_folder

    found = texts(1500)
    assert len(set(found)) == 1500
    place = starter_folder()
    tokenizer = read_tokenizer(require(place), place)
    lengths = [min(256, len(ids) + 2) for ids in tokenizer.ids(found)]
    assert 45 <= np.mean(lengths) <= 55
