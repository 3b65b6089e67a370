"""start.py with real pip and small packages: what is there goes on working, whatever ends a set-up."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from small_project import SmallProject

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kills process groups, and looks for commands in bin")

ROOT = Path(__file__).resolve().parent.parent
KILLS = 4
"""tests/bench/killed_setup.py does the same fifty times and more."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    made = SmallProject(ROOT, tmp_path_factory.mktemp("with space 中") / "checkout", tmp_path_factory.mktemp("wheels"))
    made.pin("1")
    assert made.start() == (0, "1 1 1\n")
    return made


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_update_writes_into_no_file_of_the_old_environment(project: SmallProject, tmp_path: Path) -> None:
    """The copy shares its files with the old one, so one that is written into instead of replaced would change both."""
    shutil.copytree(project.folder / ".venv", tmp_path / "old", symlinks=True, copy_function=os.link)
    before = contents(tmp_path / "old")
    project.pin("2")
    assert project.start() == (0, "2 2 2\n")
    assert contents(tmp_path / "old") == before
    assert project.left() == []


def commands_of_others(project: SmallProject, *places: str) -> list[str]:
    """The commands in the environment that name one of the places."""
    scripts = [path for path in (project.folder / ".venv" / "bin").iterdir() if path.is_file()]
    return [path.name for path in scripts if any(os.fsencode(place) in path.read_bytes() for place in places)]


def run_command(project: SmallProject) -> str:
    command = project.folder / ".venv" / "bin" / "here-command"
    return subprocess.run([command], capture_output=True, text=True, check=True, cwd="/").stdout


def test_commands_run_in_the_place_that_the_environment_was_put_in(project: SmallProject) -> None:
    assert run_command(project) == "ran\n"
    assert commands_of_others(project, ".venv-new") == []


def test_a_checkout_that_was_moved_works_in_its_new_place(project: SmallProject) -> None:
    before, old = project.versions(), project.folder
    project.folder = old.rename(old.parent / "moved to")
    assert project.start(offline=True) == (0, before + "\n")
    assert run_command(project) == "ran\n"
    assert commands_of_others(project, ".venv-new", str(old)) == []


def test_a_package_with_another_hash_is_refused_and_the_old_one_works(project: SmallProject) -> None:
    before = project.versions()
    project.hashes["two", "1"], kept = "0" * 64, project.hashes["two", "1"]
    project.pin("1" if before == "2 2 2" else "2")
    project.hashes["two", "1"] = kept
    code, said = project.start()
    assert code == 1
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in said
    assert project.versions() == before
    assert project.left() == []


def test_an_update_without_a_network_fails_and_the_old_one_works(project: SmallProject) -> None:
    before = project.versions()
    project.pin("1" if before == "2 2 2" else "2")
    code, said = project.start(offline=True)
    assert code == 1
    assert "No matching distribution" in said
    assert project.versions() == before


@pytest.mark.slow
def test_a_set_up_killed_at_any_point_leaves_one_that_works(project: SmallProject) -> None:
    counts = project.kill_often(KILLS, seed=7)
    assert counts["old"] + counts["new"] == KILLS
