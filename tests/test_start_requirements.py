"""What start.py installs, from where, and what it makes of pip's answers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from bootstrap import SetupError, arguments, requirements, runner, torch_build

ROOT = Path(__file__).resolve().parent.parent


# Requirements


def test_every_requirement_is_pinned() -> None:
    ours = requirements.load(str(ROOT))
    with open(ours.constraints_path, encoding="utf-8") as file:
        pins = requirements.pinned(file.read())
    for line in (*ours.runtime, *ours.build, *ours.test, ours.starter, ours.writer):
        name = line.partition("=")[0].partition(">")[0].lower()
        assert name in pins, line


def test_no_pin_belongs_to_one_build_of_torch() -> None:
    text = (ROOT / "packaging" / "constraints.txt").read_text(encoding="utf-8")
    assert requirements.load(str(ROOT)).torch_version == "2.13.0"
    assert not [name for name in requirements.pinned(text) if name.startswith(torch_build.CUDA_PACKAGES)]


def copy_of_project(folder: Path) -> Path:
    """The two files that decide what is installed."""
    (folder / "packaging").mkdir(parents=True)
    for name in ("pyproject.toml", "packaging/constraints.txt"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


def test_the_key_changes_with_a_pin_and_not_with_a_comment(tmp_path: Path) -> None:
    project = copy_of_project(tmp_path / "project")
    constraints = project / "packaging" / "constraints.txt"
    before = requirements.load(str(project))
    constraints.write_text("# more words\n" + constraints.read_text(encoding="utf-8"), encoding="utf-8")
    assert requirements.load(str(project)) == before
    constraints.write_text(constraints.read_text(encoding="utf-8").replace("psutil==", "psutil==9"), encoding="utf-8")
    after = requirements.load(str(project))
    assert after.key != before.key
    assert after.test_key != before.test_key


def test_the_key_does_not_change_with_the_settings_of_tools(tmp_path: Path) -> None:
    project = copy_of_project(tmp_path / "project")
    before = requirements.load(str(project))
    with open(project / "pyproject.toml", "a", encoding="utf-8") as file:
        file.write("\n[tool.another]\nsetting = 1\n")
    assert requirements.load(str(project)) == before


def test_an_incomplete_copy_says_so(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="not complete"):
        requirements.load(str(tmp_path))


# Builds of torch


def test_the_small_build_is_asked_of_the_users_own_index_first() -> None:
    own, official, plain = torch_build.attempts("linux", "cpu", "2.13.0")
    assert own == torch_build.Attempt("torch==2.13.0+cpu")
    assert official.requirement == own.requirement
    assert torch_build.CPU_INDEX in official.options
    assert plain.requirement == "torch==2.13.0"
    assert "several GB" in plain.note


@pytest.mark.parametrize(
    ("system", "accelerator", "first"),
    [
        ("linux", "cuda", "torch===2.13.0"),
        ("darwin", "cpu", "torch===2.13.0"),
        ("win32", "cpu", "torch===2.13.0"),
        ("win32", "cuda", "torch==2.13.0+cu130"),
    ],
)
def test_each_system_starts_with_the_build_that_was_chosen(
    system: str, accelerator: arguments.Accelerator, first: str
) -> None:
    ways = torch_build.attempts(system, accelerator, "2.13.0")
    assert ways[0].requirement == first
    assert ways[-1].requirement == "torch==2.13.0"


@pytest.mark.skipif(os.name == "nt", reason="puts a shell script in the place of nvidia-smi")
@pytest.mark.parametrize(
    ("script", "accelerator"),
    [
        ("echo 'GPU 0: NVIDIA H100'", "cuda"),
        ("echo 'no driver' >&2; exit 9", "cpu"),
        ("echo 'No devices found'", "cpu"),
    ],
)
def test_the_driver_decides_where_nothing_was_chosen(
    script: str, accelerator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    exists = os.path.exists
    monkeypatch.setattr(torch_build.os.path, "exists", lambda path: "nvidia/version" not in path and exists(path))
    assert torch_build.default_accelerator("linux") == accelerator
    assert torch_build.default_accelerator("darwin") == "cpu"


# What pip says


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("OSError: [Errno 28] No space left on device", "Make room"),
        ("NewConnectionError(...): Name or service not known\nERROR: No matching distribution found for x", "network"),
        ("SSLError(CertificateError(...))", "PIP_CERT"),
        ("ERROR: No matching distribution found for torch==2.13.0", "no build of torch for this Python and system (P)"),
        ("PermissionError: [Errno 13] Permission denied: '/x'", "belongs to you"),
        ("something new", "report it together with the log"),
    ],
)
def test_the_advice_fits_what_pip_said(text: str, advice: str) -> None:
    assert advice in runner.hint(text, "P").replace("torch==2.13.0", "torch")


def test_the_log_holds_all_that_a_command_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log"
    run = runner.logged_runner(str(log), {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    program = "import os, sys; print('out', 'PYTHONDONTWRITEBYTECODE' in os.environ); sys.exit('err')"
    with open(tmp_path / "lock", "w", encoding="utf-8") as lock:
        outcome = run("a step", [sys.executable, "-c", program], lock.fileno())
    assert outcome.code == 1
    assert outcome.text.split() == ["out", "False", "err"]
    assert outcome.text in log.read_text(encoding="utf-8")
    assert "a step" in capfd.readouterr().err
