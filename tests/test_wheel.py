"""The wheel: built from a copy of the tree, installed beside nothing of ours, run from another folder."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("engine", "gui", "assets")
SAMPLES = ROOT / "assets" / "samples"


def run(command: list[str], folder: Path, environ: dict[str, str] | None = None) -> str:
    """Run ``command`` in ``folder``; return its output or fail with all that it said."""
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, encoding="utf-8", timeout=240, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def source_files(package: str) -> set[str]:
    """The files of ``package`` that belong in the wheel, relative to the root."""
    found = (path for path in (ROOT / package).rglob("*") if path.is_file())
    return {
        path.relative_to(ROOT).as_posix()
        for path in found
        if "__pycache__" not in path.parts and not path.name.startswith(".")
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel. A copy is built, so that no leftover of an earlier build can creep in."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name)  # compiled files too: the build has to leave them out
    out = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)], out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the installed wheel and nothing else."""
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-index", "--no-deps"]
    run([*pip, "--target", str(target), str(wheel)], target)
    return target


@pytest.fixture
def elsewhere(installed: Path, tmp_path: Path) -> dict[str, str]:
    """Environment variables under which Python knows the installed wheel and the dependencies, but not this checkout.

    ``-S`` (see ``python``) leaves out the .pth files of site-packages and with them the editable installation, so the
    packages are named here. Settings and data of the user are out of reach too.
    """
    libraries = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    homes = {name: str(tmp_path / name) for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA")}
    homes |= {f"XDG_{kind}_HOME": str(tmp_path / kind.lower()) for kind in ("CONFIG", "DATA", "STATE", "CACHE")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, **homes, "PYTHONPATH": os.pathsep.join([str(installed), *libraries]), "PYTHONSAFEPATH": "1"}


def python(*arguments: str) -> list[str]:
    return [sys.executable, "-S", *arguments]


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == set().union(*(source_files(package) for package in PACKAGES))


def test_the_wheel_carries_the_licence_and_both_commands(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (entry_points,) = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
        commands = configparser.ConfigParser()
        commands.read_string(archive.read(entry_points).decode())
        (licence,) = (name for name in archive.namelist() if name.endswith("/licenses/LICENSE"))
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
    assert commands["console_scripts"]["heddle"] == "engine.cli.main:main"
    assert commands["gui_scripts"]["heddle-desktop"] == "gui.app:main"


def test_the_installed_wheel_finds_its_own_assets(installed: Path, elsewhere: dict[str, str], tmp_path: Path) -> None:
    program = "import assets, engine; print(engine.__file__); print(assets.path('samples'))"
    code, samples = run(python("-c", program), tmp_path, elsewhere).splitlines()
    assert Path(code).is_relative_to(installed)
    assert Path(samples).is_relative_to(installed)
    assert sorted(path.name for path in Path(samples).rglob("*.*")) == sorted(
        path.name for path in SAMPLES.rglob("*.*") if not path.name.startswith(".")
    )


def test_a_missing_asset_is_named(elsewhere: dict[str, str], tmp_path: Path) -> None:
    program = "import assets\ntry: assets.path('icons', 'none.svg')\nexcept FileNotFoundError as error: print(error)"
    assert "assets/icons/none.svg" in run(python("-c", program), tmp_path, elsewhere)


@pytest.mark.slow
def test_the_installed_wheel_processes_the_sample_pile(elsewhere: dict[str, str], tmp_path: Path) -> None:
    documents = [path.name for path in (SAMPLES / "mails").rglob("*.txt")]
    assert documents
    printed = run(python("-m", "engine.cli", "sample"), tmp_path, elsewhere)
    rows = [name for name in documents if sum(os.sep + name in line for line in printed.splitlines()) == 1]
    assert rows == documents, printed
