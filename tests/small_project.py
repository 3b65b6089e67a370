"""A checkout with the real start.py and real pip, whose packages are a few lines each: set up in seconds, offline.

This file is also its build backend (PEP 660), so that Heddle's place is taken by something that needs no setuptools.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

NAMES = ("one", "two", "three")
ASK = f"import {', '.join(NAMES)}, torch, here; print({', '.join(f'{name}.VERSION' for name in NAMES)})"
"""A program that prints the version of each package."""

PROJECT = """\
[build-system]
requires = []
build-backend = "small_project"
backend-path = ["."]
[project]
name = "here"
version = "1"
"""


def make_wheel(folder: str | Path, name: str, version: str, files: dict[str, str]) -> Path:
    """Write a wheel of pure Python and return its path."""
    about = f"{name}-{version}.dist-info"
    path = Path(folder) / f"{name}-{version}-py3-none-any.whl"
    files = {
        **files,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": f"[console_scripts]\n{name}-command = {name}:main\n",
    }
    record = "".join(f"{file},,\n" for file in (*files, f"{about}/RECORD"))
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**files, f"{about}/RECORD": record}.items():
            archive.writestr(zipfile.ZipInfo(file), text)
    return path


def build_editable(wheel_directory: str, config_settings: object = None, metadata_directory: object = None) -> str:
    """What pip calls for ``--editable``, in the folder of the project."""
    module = "VERSION = 1\ndef main():\n    print('ran')\n"
    Path("here.py").write_text(module, encoding="utf-8")
    return make_wheel(wheel_directory, "here", "1", {"__editable__.here.pth": os.getcwd() + "\n"}).name


class SmallProject:
    """A checkout made in ``folder`` of start.py in ``root``; ``pin`` says what it is to have, ``start`` brings it there.

    The packages lie in ``wheels``, whose path has no spaces: pip would take it for several.
    """

    def __init__(self, root: Path, folder: Path, wheels: Path) -> None:
        self.folder, self.wheels = folder, wheels
        shutil.copytree(root / "packaging" / "bootstrap", folder / "packaging" / "bootstrap")
        shutil.copy(root / "start.py", folder)
        shutil.copy(__file__, folder / "small_project.py")
        (folder / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
        (folder / "packaging" / "constraints.txt").write_text("torch==1.0\n", encoding="utf-8")
        (folder / "packaging" / "requirements").mkdir()
        (folder / "packaging" / "requirements" / "tests.txt").touch()
        for version in ("1.0", "1.0+cpu"):
            make_wheel(self.wheels, "torch", version, {"torch.py": ""})
        self.hashes: dict[tuple[str, str], str] = {}
        for name in NAMES:
            for version in ("1", "2"):
                files = {f"{name}.py": f"VERSION = {version}\n"}
                files |= {f"{name}_more/module_{number}.py": f"VALUE = {version}\n" for number in range(60)}
                made = make_wheel(self.wheels, name, version, files)
                self.hashes[name, version] = hashlib.sha256(made.read_bytes()).hexdigest()

    def pin(self, version: str, schema: int = 1) -> None:
        """From now on every package has to have ``version``; with another ``schema`` nothing of the old one is used."""
        code = self.folder / "packaging" / "bootstrap" / "requirements.py"
        text = re.sub(r"(?m)^SCHEMA = .*", f"SCHEMA = {schema}", code.read_text(encoding="utf-8"))
        code.write_text(text, encoding="utf-8")
        lines = [f"{name}=={version} --hash=sha256:{self.hashes[name, version]}\n" for name in NAMES]
        (self.folder / "packaging" / "requirements" / "program.txt").write_text("".join(lines), encoding="utf-8")

    def begin(self, *, offline: bool = False) -> subprocess.Popen[str]:
        """Start it, in a process group of its own; it prints the versions in the end."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        environ |= {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_CACHE_DIR": str(self.wheels / "cache")}
        if not offline:
            environ["PIP_FIND_LINKS"] = str(self.wheels)
        command = [sys.executable, str(self.folder / "start.py"), "--accelerator", "cpu", "python", "-c", ASK]
        return subprocess.Popen(
            command,
            env=environ,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def start(self, *, offline: bool = False) -> tuple[int, str]:
        """Start it and return its exit code and what it said."""
        process = self.begin(offline=offline)
        out, err = process.communicate()
        return process.returncode, out if process.returncode == 0 else err

    def start_and_kill(self, seconds: float, *, whole_group: bool) -> bool:
        """Start it and kill it after ``seconds``, with pip or without; return whether it was still running."""
        process = self.begin()
        try:
            process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            if whole_group:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            process.communicate()
            return True
        return False

    def versions(self) -> str:
        """Ask the environment that is there, without start.py; where two renames were cut in the middle, with it."""
        if not os.path.lexists(self.folder / ".venv"):
            code, said = self.start(offline=True)
            assert code == 0, said
            return said.strip()
        done = subprocess.run(
            [self.folder / ".venv" / "bin" / "python", "-c", ASK], capture_output=True, text=True, check=False, cwd="/"
        )
        return done.stdout.strip() if done.returncode == 0 else done.stderr

    def left(self) -> list[str]:
        """Folders beside the environment."""
        return sorted(path.name for path in self.folder.glob(".venv-*") if path.is_dir())

    def kill_often(self, kills: int, seed: int) -> dict[str, int]:
        """Kill that many set-ups at random points, look each time whether what is there works, and finish the last one.

        Every other one is an update in a copy, every other one begins with nothing; of each, every other one is killed
        together with pip. Returns how many were killed before and after the new one was in place, and how many had
        ended; the first two do. Raises AssertionError where something does not work.
        """
        draw = random.Random(seed)
        counts = {"old": 0, "new": 0, "ended": 0}
        seconds = [0.0, 0.0]  # of an update and of one that begins with nothing, when one last ended
        schema, number, wanted = 1, 0, ""
        while counts["old"] + counts["new"] < kills:
            before = self.versions()
            version = "2" if before == "1 1 1" else "1"
            wanted = f"{version} {version} {version}"
            schema += number % 2
            self.pin(version, schema)
            started = time.monotonic()
            patience = draw.uniform(0, 1.6 * seconds[number % 2]) if seconds[number % 2] else 600
            killed = self.start_and_kill(patience, whole_group=number % 4 < 2)
            after = self.versions()
            assert after == wanted or (killed and after == before), after
            if killed:
                counts["new" if after == wanted else "old"] += 1
            else:
                seconds[number % 2] = time.monotonic() - started
                counts["ended"] += 1
            number += 1
        code, said = self.start()
        assert (code, said.strip()) == (0, wanted), said
        assert self.left() == []
        return counts
