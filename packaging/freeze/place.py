"""Where a build lies: everything under build/, which git ignores."""

from __future__ import annotations

import ast
import os
import platform
import re
from dataclasses import dataclass

from freeze import BuildError


@dataclass(frozen=True)
class Place:
    """Paths of a build of the source tree in ``root``."""

    root: str

    @property
    def work(self) -> str:
        """The folder of everything that a build makes on its way."""
        return os.path.join(self.root, "build", "freeze")

    @property
    def environment(self) -> str:
        """The throw-away environment that PyInstaller runs in."""
        return os.path.join(self.work, "venv")

    @property
    def python(self) -> str:
        """The Python of that environment."""
        return os.path.join(self.environment, *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")))

    @property
    def program(self) -> str:
        """The frozen program's folder."""
        return os.path.join(self.work, "dist", "heddle")

    @property
    def inside(self) -> str:
        """The folder of libraries and data inside the program."""
        return os.path.join(self.program, "_internal")

    @property
    def results(self) -> str:
        """The folder of finished packages."""
        return os.path.join(self.root, "build", "packages")

    @property
    def templates(self) -> str:
        """The folder of files that packages of Linux are made from."""
        return os.path.join(self.root, "packaging", "linux")

    @property
    def version(self) -> str:
        """Heddle's version, as its source says it; raises BuildError where it does not."""
        with open(os.path.join(self.root, "engine", "__init__.py"), encoding="utf-8") as file:
            found = re.search(r"^__version__ = (.+)$", file.read(), re.MULTILINE)
        if found is None:
            raise BuildError("engine/__init__.py says no version.")
        return str(ast.literal_eval(found[1]))

    @property
    def name(self) -> str:
        """What files made here begin with: program, version, system, processor."""
        return f"heddle-{self.version}-{platform.system().lower()}-{platform.machine().lower()}"
