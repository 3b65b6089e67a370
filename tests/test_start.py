"""The commands of start.py: what each call runs, without running it."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from bootstrap import SetupError, arguments, checks, commands, display, requirements
from bootstrap.arguments import Request
from bootstrap.environment import Environment

ROOT = Path(__file__).resolve().parent.parent

spec = importlib.util.spec_from_file_location("start", ROOT / "start.py")
assert spec is not None
assert spec.loader is not None
start = importlib.util.module_from_spec(spec)
spec.loader.exec_module(start)


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    """An environment that is never made: these tests look at what would be run in it."""
    return Environment(str(tmp_path), requirements.load(str(ROOT)), print, {})


# Versions of Python


def test_start_parses_on_python_3_8() -> None:
    ast.parse((ROOT / "start.py").read_text(encoding="utf-8"), feature_version=(3, 8))


def test_an_old_python_is_told_which_one_is_needed() -> None:
    assert start.version_problem((3, 8), []).startswith("Heddle needs Python 3.11 or newer; this is 3.8\n")


def test_a_fitting_python_on_the_machine_is_named() -> None:
    assert "    python3.12 start.py" in start.version_problem((3, 8), ["python3.12", "python3.11"])


def test_a_python_without_wheels_is_refused_before_anything_is_fetched() -> None:
    assert "3.11 to 3.14; this is 3.15" in start.version_problem((3, 15), [])


@pytest.mark.parametrize("minor", [11, 12, 13, 14])
def test_the_supported_pythons_are_taken(minor: int) -> None:
    assert start.version_problem((3, minor), []) is None


# Arguments


@pytest.mark.parametrize(
    ("argv", "request_made"),
    [
        ([], Request("window")),
        (["--accelerator", "cpu"], Request("window", accelerator="cpu")),
        (["--accelerator=cuda", "test"], Request("test", accelerator="cuda")),
        (["test", "-k", "lock", "--help"], Request("test", ("-k", "lock", "--help"))),
        (["heddle", "run", "--accelerator", "x", ""], Request("heddle", ("run", "--accelerator", "x", ""))),
        (["python", "-c", "print('a  b')", "--help"], Request("python", ("-c", "print('a  b')", "--help"))),
        (["--help"], Request("help")),
        (["--data-dir", "a b"], Request("window", ("--data-dir", "a b"))),
        (["--data-dir", "help", "--sample"], Request("window", ("--data-dir", "help", "--sample"))),
        (["--data-dir=x", "--accelerator", "cpu"], Request("window", ("--data-dir=x",), "cpu")),
        (["--version"], Request("window", ("--version",))),
        ([str(ROOT)], Request("window", (str(ROOT),))),
        (["--sample", "--", "-odd"], Request("window", ("--sample", "--", "-odd"))),
    ],
)
def test_what_follows_the_command_is_left_alone(argv: list[str], request_made: Request) -> None:
    assert arguments.parse(argv) == request_made


@pytest.mark.parametrize(
    "argv",
    [
        ["hedle"],
        ["--accelerator"],
        ["--accelerator", "gpu"],
        ["--accelerator=", "test"],
        ["--data-dir"],
        ["--dta-dir", "x"],
    ],
)
def test_arguments_that_make_no_sense_end_with_exit_code_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main("nowhere", argv, "the help") == 2
    assert "the help" in capsys.readouterr().err


# What is run in the end


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch, env: Environment) -> list[tuple[list[str], dict[str, str]]]:
    """The command and the environment variables that start.py hands over to, instead of handing over."""
    calls: list[tuple[list[str], dict[str, str]]] = []

    def note(command: Sequence[str], environ: dict[str, str]) -> int:
        calls.append((list(command), environ))
        return 7

    monkeypatch.setattr(commands, "_hand_over", note)
    monkeypatch.setattr(commands, "_missing", lambda environment, part: [])
    return calls


def test_arguments_reach_the_python_of_the_environment_as_they_are(
    env: Environment, handed: list[tuple[list[str], dict[str, str]]]
) -> None:
    assert commands._run(env, Request("python", ("-c", "x  y", "")), {}) == 7
    assert handed == [([env.python, "-c", "x  y", ""], {})]


def test_a_folder_named_engine_cannot_take_the_place_of_ours(
    env: Environment, handed: list[tuple[list[str], dict[str, str]]]
) -> None:
    commands._run(env, Request("heddle", ("doctor",)), {})
    assert handed == [([env.python, "-m", "engine.cli", "doctor"], {"PYTHONSAFEPATH": "1"})]


def test_without_a_display_the_sample_pile_runs(
    env: Environment,
    handed: list[tuple[list[str], dict[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    assert commands._run(env, Request("window"), {}) == 7
    assert handed[0][0] == [env.python, "-m", "engine.cli", "sample"]
    assert "No display here: neither DISPLAY nor WAYLAND_DISPLAY is set." in capsys.readouterr().out


def test_with_a_display_the_window_opens(env: Environment, handed: list[tuple[list[str], dict[str, str]]]) -> None:
    commands._run(env, Request("window"), {"QT_QPA_PLATFORM": "offscreen"})
    assert handed[0][0] == [env.python, "-m", "gui"]


def test_the_windows_own_arguments_reach_it_and_all_of_them_are_known(
    env: Environment, handed: list[tuple[list[str], dict[str, str]]]
) -> None:
    given = ("--data-dir", "/a b", "--sample")
    commands._run(env, arguments.parse(list(given)), {"QT_QPA_PLATFORM": "offscreen"})
    assert handed[0][0] == [env.python, "-m", "gui", *given]
    window = subprocess.run(
        [sys.executable, "-m", "gui", "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert set(re.findall(r"--[a-z-]+", window)) - {"--help"} == set(arguments.WINDOW_OPTIONS)


def test_without_a_display_documents_for_the_window_are_refused(
    env: Environment, handed: list[tuple[list[str], dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(SetupError, match="heddle run"):
        commands._run(env, Request("window", (str(ROOT),)), {})
    assert handed == []


def test_missing_libraries_stop_the_window_and_name_the_packages(
    env: Environment, handed: list[tuple[list[str], dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_missing", lambda environment, part: ["libxcb-icccm.so.4"])
    with pytest.raises(SetupError, match="libxcb-icccm4"):
        commands._run(env, Request("window"), {"QT_QPA_PLATFORM": "offscreen"})
    assert handed == []


def test_the_platform_whose_libraries_are_there_is_taken(
    env: Environment, handed: list[tuple[list[str], dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "find_display", lambda environ, system: display.Display(("wayland", "xcb")))
    monkeypatch.setattr(commands, "_missing", lambda environment, part: ["x"] if part == "wayland" else [])
    commands._run(env, Request("window"), {})
    assert handed[0][1]["QT_QPA_PLATFORM"] == "xcb"


def test_checks_run_offline_and_off_the_screen() -> None:
    environ = checks.check_environment({"HF_HUB_OFFLINE": "0", "HOME": "/h"})
    assert environ == {"QT_QPA_PLATFORM": "offscreen", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HOME": "/h"}
    assert checks.check_environment({"QT_QPA_PLATFORM": "xcb"})["QT_QPA_PLATFORM"] == "xcb"


def test_one_failed_check_fails_the_run_and_pytest_still_comes_last(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pytest.py").write_text("print('3 passed')", encoding="utf-8")
    monkeypatch.setattr(checks, "STEPS", (("good", ("-c", "")), ("bad", ("-c", "raise SystemExit(3)"))))
    assert checks.run_all(sys.executable, str(tmp_path), dict(os.environ)) == 1
    out = capfd.readouterr().out
    assert "good: ok," in out
    assert "bad: FAILED (exit 3)," in out
    assert out.rstrip().endswith("3 passed")


def test_tests_run_in_two_processes_and_in_ci_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert checks.side_by_side({})[:2] == ("-n", "2")
    assert checks.side_by_side({"CI": "true"}) == ()
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert checks.side_by_side({}) == ()
