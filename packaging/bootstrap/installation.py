"""One run of venv and pip: an environment is made beside the one that is there, which nothing here changes."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from bootstrap import SetupError, folders, marker, torch_build
from bootstrap.arguments import Accelerator
from bootstrap.marker import Marker
from bootstrap.requirements import Requirements
from bootstrap.runner import Outcome, Runner, hint

FREE_BYTES = {"cpu": 2_700_000_000, "cuda": 10_000_000_000}
"""Room that a new environment and the downloads on their way into it take beside the old one (measured, rounded up)."""


@dataclass(frozen=True)
class Installation:
    """One run for the project in ``root``, with the lock (a descriptor) held."""

    root: str
    old: str
    """The environment that is there, if any, and the place that the new one is to get."""
    new: str
    """Where the new one is made."""
    requirements: Requirements
    say: Callable[[str], None]
    run: Runner
    lock: int
    log_path: str

    def build(self, action: str, wanted: Marker) -> None:
        """Make the environment; ``action`` is the verdict's. It is marked as ``wanted`` when it is whole.

        Raises SetupError where a step fails, and leaves nothing.
        """
        try:
            folders.remove(self.new)
            found = marker.read(self.old)
            if action == "make" or found is None:
                self._begin(wanted.accelerator)
            else:
                if found.accelerator != wanted.accelerator:
                    _require_room(self.root, FREE_BYTES[wanted.accelerator])
                folders.copy(self.old, self.new)
            if action != "move":
                files = [self.requirements.program] + [self.requirements.tests] * bool(wanted.test_key)
                # Every package is named, so pip chooses none; and it takes no file with another hash.
                self._pip("packages", "--no-deps", "--require-hashes", *(f"--requirement={path}" for path in files))
                self._torch(wanted.accelerator)
            self._pip("Heddle", "--no-deps", "--no-build-isolation", "--editable", self.root)
            former = os.path.join(found.root if found else self.root, os.path.basename(self.old))
            folders.rename_inside(self.new, self.new, former, to=self.old)
            marker.write(self.new, wanted)
        except BaseException as error:
            with contextlib.suppress(OSError):
                folders.remove(self.new)
            if isinstance(error, OSError):
                message = f"The environment could not be made: {error}"
                raise SetupError(message) from error
            raise

    def _begin(self, accelerator: Accelerator) -> None:
        _require_venv_modules()
        _require_room(self.root, FREE_BYTES[accelerator])
        # Not sys.executable: inside an activated .venv that is the very environment which is about to be replaced.
        base: str = getattr(sys, "_base_executable", None) or sys.executable
        outcome = self.run(
            "environment", [base, "-m", "venv", "--prompt", os.path.basename(self.old), self.new], self.lock
        )
        if outcome.code != 0:
            self._fail(outcome, "Python could not make the environment .venv")

    def _torch(self, accelerator: Accelerator) -> None:
        """Install torch, and with a CUDA build the libraries whose exact versions it names; the others are there."""
        ways = torch_build.attempts(sys.platform, accelerator, self.requirements.torch_version)
        if accelerator == "cuda" and sys.platform == "linux":
            self.say("  An NVIDIA build of PyTorch takes several GB; --accelerator cpu is the small one.")
        for number, way in enumerate(ways, start=1):
            if way.note:
                self.say("  " + way.note)
            outcome = self._try_pip("PyTorch", *way.options, way.requirement)
            if outcome.code == 0:
                break
            # The second is what pip says when the user's own settings constrain torch.
            not_offered = re.search(r"No matching distribution found for torch|Cannot install torch=", outcome.text)
            if number == len(ways) or not not_offered:
                self._fail(outcome, "pip could not install PyTorch")
        there = [name for name in os.listdir(folders.packages(self.new)) if name.endswith(".dist-info")]
        if not any(name.startswith("torch-") and "+cpu" in name for name in there):
            return
        if accelerator == "cuda":
            self.say("  The package index offers only the CPU build of PyTorch; that one is installed.")
            return
        # The gigabytes that a CUDA build left behind after a change to the CPU build.
        names = [name.partition("-")[0].replace("_", "-").lower() for name in there]
        left = [name for name in names if name.startswith(torch_build.CUDA_PACKAGES)]
        if left:
            self.run("old CUDA libraries", [folders.python(self.new), "-m", "pip", "uninstall", "-y", *left], self.lock)

    def _try_pip(self, label: str, *arguments: str) -> Outcome:
        command = [folders.python(self.new), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        # Compiled at once, so that the first window is quick too.
        command += ["--progress-bar", "off", "--compile", "--only-binary", ":all:"]
        return self.run(label, [*command, *arguments], self.lock)

    def _pip(self, label: str, *arguments: str) -> None:
        outcome = self._try_pip(label, *arguments)
        if outcome.code != 0:
            self._fail(outcome, f"pip could not install: {label}")

    def _fail(self, outcome: Outcome, what: str) -> NoReturn:
        advice = hint(outcome.text, marker.wanted_marker("", "", "cpu").built_for)
        message = f"{what}. Its last words:\n\n{outcome.tail}\n\n{advice}\nThe whole log: {self.log_path}"
        raise SetupError(message)


def _require_venv_modules() -> None:
    """Debian and its children split venv off Python; say which package brings it back."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        message = (
            f"This Python came without its module {error.name!r}. On Debian and Ubuntu it is a package of its own:\n"
            f"    sudo apt install python3-venv\n(or python{version}-venv if this is not the system's own Python)"
        )
        raise SetupError(message) from error


def _require_room(folder: str, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        message = (
            f"The disk is too full: the environment and its downloads need {needed / 1e9:.1f} GB in {folder}, "
            f"{free / 1e9:.1f} GB are free. Make room, then start again."
        )
        raise SetupError(message)
