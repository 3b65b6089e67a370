"""The environment that start.py makes: nothing here touches the network or the real .venv."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from bootstrap import SetupError, folders, installation, marker, requirements, torch_build
from bootstrap.environment import Environment
from bootstrap.lock import install_lock
from bootstrap.runner import Outcome

ROOT = Path(__file__).resolve().parent.parent


# Which environment is good enough


WANTED = marker.Marker(requirements.SCHEMA, "cpython-311", "linux-x86_64", "/here", "cpu", "key")


@pytest.mark.parametrize(
    ("found", "exists", "ours", "works", "action", "word"),
    [
        (None, False, False, False, "make", "Making"),
        (None, True, False, False, "make", "aside"),
        (None, True, False, True, "make", "aside"),
        (None, True, True, False, "make", "not complete"),
        (None, True, True, True, "make", "not complete"),
        (WANTED, True, True, False, "make", "gone"),
        (replace(WANTED, python="cpython-312"), True, True, True, "make", "cpython-312"),
        (replace(WANTED, platform="linux-aarch64"), True, True, True, "make", "linux-aarch64"),
        (replace(WANTED, schema=0), True, True, True, "make", "another version"),
        (replace(WANTED, accelerator="cuda"), True, True, True, "update", "build for cpu"),
        (replace(WANTED, root="/there"), True, True, True, "move", "moved"),
        (replace(WANTED, root="/there", key="old"), True, True, True, "update", "requirements"),
        (replace(WANTED, key="old"), True, True, True, "update", "requirements"),
        (WANTED, True, True, True, "use", ""),
        (replace(WANTED, test_key="tests"), True, True, True, "update", "tests"),
    ],
)
def test_the_verdict_on_an_environment(
    found: marker.Marker | None, exists: bool, ours: bool, works: bool, action: str, word: str
) -> None:
    judged = marker.verdict(found, WANTED, exists=exists, ours=ours, interpreter_works=works)
    assert judged.action == action
    assert word in judged.reason
    assert bool(judged.reason) == (action != "use")


def test_a_marker_survives_the_way_to_disk_and_back(tmp_path: Path) -> None:
    marker.write(str(tmp_path), WANTED)
    assert marker.read(str(tmp_path)) == WANTED


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": 1}', "\x00\xff"])
def test_a_damaged_marker_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / marker.FILE).write_text(text, encoding="latin-1")
    assert marker.read(str(tmp_path)) is None


class FakeInstaller:
    """Stands for venv and pip: notes the commands and does the little that an environment needs to be taken for one."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.answer: Callable[[str], Outcome] = lambda label: Outcome(0, label)

    def __call__(self, label: str, command: Sequence[str], lock: int) -> Outcome:
        self.commands.append(list(command))
        if label == "environment":
            folder = command[-1]
            os.makedirs(folders.packages(folder))
            os.makedirs(folders.scripts(folder))
            Path(folders.python(folder)).touch()
            Path(folder, "pyvenv.cfg").write_text(f"home = {os.path.dirname(sys.executable)}\n", encoding="utf-8")
        return self.answer(label)

    def requested(self) -> str:
        """Every word that was given to pip and venv since the last look."""
        words = " ".join(word for command in self.commands for word in command)
        self.commands.clear()
        return words


@pytest.fixture
def installer() -> FakeInstaller:
    return FakeInstaller()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def env(tmp_path: Path, installer: FakeInstaller, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Environment:
    """An environment in an empty folder."""
    monkeypatch.setattr(torch_build, "default_accelerator", lambda: "cpu")
    monkeypatch.setattr(installation, "_require_room", lambda folder, needed: None)
    return Environment(str(tmp_path), requirements.load(str(ROOT)), said.append, {}, lambda log, environ: installer)


def test_a_fresh_environment_gets_program_torch_and_scripts(env: Environment, installer: FakeInstaller) -> None:
    env.ensure()
    words = installer.requested()
    for part in ("-m venv", "torch==", f"--require-hashes --requirement={env.requirements.program}", "--editable"):
        assert part in words
    assert env.requirements.tests not in words
    assert words.count("--only-binary :all:") == words.count(" install ")
    assert words.count("--require-hashes") == words.count(" install ") - 2  # torch and Heddle itself


def test_a_second_start_runs_nothing(env: Environment, installer: FakeInstaller, said: list[str]) -> None:
    env.ensure()
    installer.requested()
    said.clear()
    env.ensure()
    assert installer.commands == []
    assert said == []


def test_the_test_packages_come_once_and_stay(env: Environment, installer: FakeInstaller, said: list[str]) -> None:
    env.ensure()
    installer.requested()
    env.ensure(test=True)
    words = installer.requested()
    assert env.requirements.tests in words
    assert "-m venv" not in words
    env.ensure(test=True)
    env.ensure()
    assert installer.commands == []
    replace(env, requirements=replace(env.requirements, key="another")).ensure()
    assert env.requirements.tests in installer.requested()


def test_an_interrupted_installation_leaves_nothing(env: Environment, installer: FakeInstaller, tmp_path: Path) -> None:
    def interrupt(label: str) -> Outcome:
        if label == "packages":
            raise KeyboardInterrupt
        return Outcome(0, "")

    installer.answer = interrupt
    with pytest.raises(KeyboardInterrupt):
        env.ensure()
    assert [path.name for path in tmp_path.glob(".venv*") if path.is_dir()] == []
    installer.answer = lambda label: Outcome(0, "")
    env.ensure()
    assert marker.read(env.folder) is not None


@pytest.mark.parametrize("step", ["packages", "PyTorch", "Heddle"])
def test_an_update_that_pip_refuses_keeps_what_works(env: Environment, installer: FakeInstaller, step: str) -> None:
    env.ensure()
    newer = replace(env, requirements=replace(env.requirements, key="another"))
    installer.answer = lambda label: Outcome(label == step, "ReadTimeout: timed out")
    with pytest.raises(SetupError, match="could not be reached"):
        newer.ensure()
    installer.requested()
    env.ensure()
    assert installer.commands == []
    assert not os.path.lexists(env.new)


def test_an_update_changes_a_copy(env: Environment, installer: FakeInstaller) -> None:
    env.ensure()
    installer.requested()
    kept = Path(folders.packages(env.folder)) / "kept"
    kept.touch()
    newer = replace(env, requirements=replace(env.requirements, key="another"))

    def look(label: str) -> Outcome:
        assert marker.read(env.folder) is not None, "the old one stays whole"
        assert marker.read(env.new) is None
        return Outcome(0, "")

    installer.answer = look
    newer.ensure()
    words = installer.requested()
    assert "--editable" in words
    assert "-m venv" not in words
    assert kept.exists()
    found = marker.read(env.folder)
    assert found is not None
    assert found.key == "another"


def test_a_moved_checkout_gets_only_its_own_path_anew(
    env: Environment, installer: FakeInstaller, tmp_path: Path
) -> None:
    env.ensure()
    installer.requested()
    (tmp_path / "moved").mkdir()
    os.rename(env.folder, tmp_path / "moved" / ".venv")
    replace(env, root=str(tmp_path / "moved")).ensure()
    (command,) = installer.commands
    assert command[-2:] == ["--editable", str(tmp_path / "moved")]


@pytest.mark.parametrize("name", ["new", "before"])
def test_a_start_killed_between_the_two_renames_is_finished_by_the_next(
    env: Environment, installer: FakeInstaller, name: str
) -> None:
    env.ensure()
    installer.requested()
    os.rename(env.folder, getattr(env, name))
    env.ensure()
    assert installer.commands == []
    assert os.path.exists(env.python)


def test_a_finished_environment_that_could_not_be_put_in_place_is_not_made_again(
    env: Environment, installer: FakeInstaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    env.ensure()
    newer = replace(env, requirements=replace(env.requirements, key="another"))
    rename = os.rename

    def refuse(one: str, other: str) -> None:
        if one == env.new:
            raise PermissionError(13, "in use")
        rename(one, other)

    with monkeypatch.context() as context:
        context.setattr(os, "rename", refuse)
        with pytest.raises(SetupError, match="Close every program"):
            newer.ensure()
    assert os.path.exists(env.python)
    installer.requested()
    newer.ensure()
    assert installer.commands == []
    found = marker.read(env.folder)
    assert found is not None
    assert found.key == "another"


def test_what_a_killed_start_left_is_removed(env: Environment, tmp_path: Path) -> None:
    env.ensure()
    for left in (env.new, env.before):
        Path(left).mkdir()
        (Path(left) / "rubbish").touch()
    env.ensure()
    assert [path.name for path in tmp_path.glob(".venv*") if path.is_dir()] == [".venv"]


@pytest.mark.parametrize("leftover", ["file", "folder", "dangling link"])
def test_what_somebody_else_put_there_is_set_aside_and_kept(
    env: Environment, installer: FakeInstaller, leftover: str
) -> None:
    place = Path(env.folder)
    if leftover == "file":
        place.write_text("x", encoding="utf-8")
    elif leftover == "dangling link":
        place.symlink_to(place.parent / "nowhere", target_is_directory=True)
    else:
        (place / "bin").mkdir(parents=True)
        (place / "bin" / "python").touch()
    Path(env.folder + "-old-1").mkdir()
    env.ensure()
    assert "-m venv" in installer.requested()
    kept = Path(env.folder + "-old-2")
    assert kept.is_symlink() or kept.is_file() or (kept / "bin" / "python").exists()


def test_a_linked_environment_loses_the_link_and_not_its_target(env: Environment, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / marker.FILE).write_text("damaged", encoding="utf-8")
    Path(env.folder).symlink_to(elsewhere, target_is_directory=True)
    env.ensure()
    assert (elsewhere / marker.FILE).read_text(encoding="utf-8") == "damaged"
    assert not Path(env.folder).is_symlink()


def test_an_environment_whose_python_is_gone_is_made_anew(env: Environment, installer: FakeInstaller) -> None:
    env.ensure()
    installer.requested()
    os.remove(env.python)
    env.ensure()
    assert "-m venv" in installer.requested()


def test_the_accelerator_is_remembered(
    env: Environment, installer: FakeInstaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    env.ensure("cpu")
    monkeypatch.setattr(torch_build, "default_accelerator", lambda: "cuda")
    os.remove(env.python)
    env.ensure()
    found = marker.read(env.folder)
    assert found is not None
    assert found.accelerator == "cpu"


def test_another_accelerator_changes_torch_in_a_copy(
    env: Environment, installer: FakeInstaller, said: list[str]
) -> None:
    env.ensure("cpu")
    installer.requested()
    env.ensure("cuda")
    words = installer.requested()
    assert "torch=" in words
    assert "-m venv" not in words
    assert any("build for cuda" in text for text in said)


def test_a_failure_shows_the_last_lines_and_the_log(env: Environment, installer: FakeInstaller) -> None:
    lines = "\n".join(f"line {number}" for number in range(100)) + "\nERROR: [Errno 28] No space left on device\n"
    installer.answer = lambda label: Outcome(1, lines)
    with pytest.raises(SetupError) as caught:
        env.ensure()
    text = str(caught.value)
    assert "line 86\n" in text
    assert "line 85\n" not in text
    assert "disk is full" in text
    assert env.log_path in text


def test_a_full_disk_is_noticed_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"need 1000000000\.0 GB"):
        installation._require_room(str(tmp_path), 10**18)


def test_a_python_without_ensurepip_is_told_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SetupError, match="sudo apt install python3-venv"):
        installation._require_venv_modules()


@pytest.mark.parametrize(
    "answer",
    [
        "ERROR: No matching distribution found for torch==2.13.0+cpu",
        "ERROR: Cannot install torch==2.13.0+cpu because these package versions have conflicting dependencies.",
    ],
)
def test_an_index_that_cannot_be_reached_does_not_stop_the_installation(
    env: Environment, installer: FakeInstaller, monkeypatch: pytest.MonkeyPatch, said: list[str], answer: str
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")

    def only_plain(label: str) -> Outcome:
        missing = label == "PyTorch" and "+cpu" in installer.commands[-1][-1]
        return Outcome(1, answer) if missing else Outcome(0, "")

    installer.answer = only_plain
    env.ensure("cpu")
    assert any("several GB" in text for text in said)
    assert "torch==2.13.0 " in installer.requested() + " "


# Two starts at once


@pytest.mark.skipif(os.name == "nt", reason="asks the operating system for a second process's lock by POSIX means")
def test_a_lock_whose_holder_was_killed_is_free(tmp_path: Path, said: list[str]) -> None:
    path = str(tmp_path / "lock")
    program = (
        f"import sys, time; sys.path.insert(0, {str(ROOT / 'packaging')!r})\n"
        "from bootstrap.lock import install_lock\n"
        f"with install_lock({path!r}, print): print('held', flush=True); time.sleep(600)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

        def kill_when_asked_to_wait(text: str) -> None:
            said.append(text)
            holder.send_signal(signal.SIGKILL)

        with install_lock(path, kill_when_asked_to_wait):
            pass
    finally:
        holder.kill()
        holder.communicate()
    assert said == [f"Another start.py (process {holder.pid}) is installing; waiting for it ..."]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(SetupError, match="cannot write in its own folder"),
        install_lock(str(tmp_path / "nowhere" / "lock"), print),
    ):
        pass
