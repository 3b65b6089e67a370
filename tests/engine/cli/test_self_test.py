"""``heddle --self-test``: what it tells of an installation that works, and of one that does not."""

from __future__ import annotations

import json
import sys

import pytest

from engine.cli.main import main


def test_it_runs_both_models_on_three_encodings_and_says_so(capsys):
    assert main(["--self-test"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"]
    assert [run["task"] for run in told["runs"]] == ["embed", "generate"]
    assert all(run["encodings"] == ["utf-8", "utf-16-le", "cp1251"] for run in told["runs"])
    assert set(told["runs"][0]["exported"]) == {"jsonl", "csv", "md", "npy"}


def test_an_installation_without_its_models_fails_with_the_reason(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr("engine.installation.root", lambda: str(tmp_path))
    assert main(["--self-test"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert not told["ok"]
    assert "Install Heddle again" in told["reason"]


def test_a_command_is_still_needed_otherwise(capsys):
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 2
    assert "COMMAND" in capsys.readouterr().err
