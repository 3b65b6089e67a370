"""The environment .venv: made beside the old one and put into its place when it is whole.

What is killed leaves ``.venv`` as it was. Only between two renames there is none; then the next start does the second
one. The names beside it: ``.venv-new`` is being made, ``.venv-before`` is what it replaced and is about to be removed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from bootstrap import SetupError, folders, marker, torch_build
from bootstrap.arguments import Accelerator
from bootstrap.installation import Installation
from bootstrap.lock import install_lock
from bootstrap.marker import Marker, Verdict
from bootstrap.requirements import Requirements
from bootstrap.runner import Runner, logged_runner


@dataclass(frozen=True)
class Environment:
    """The environment of the project in ``root``."""

    root: str
    requirements: Requirements
    say: Callable[[str], None]
    """Tells the user what happens."""
    environ: Mapping[str, str]
    make_runner: Callable[[str, Mapping[str, str]], Runner] = logged_runner

    @property
    def folder(self) -> str:
        """Where the environment lies."""
        return os.path.join(self.root, ".venv")

    @property
    def new(self) -> str:
        """Where the next one is made."""
        return self.folder + "-new"

    @property
    def before(self) -> str:
        """Where the last one goes on its way out."""
        return self.folder + "-before"

    @property
    def log_path(self) -> str:
        """The log of the last installation."""
        return self.folder + "-install.log"

    @property
    def python(self) -> str:
        """The interpreter of the environment."""
        return folders.python(self.folder)

    def ensure(self, accelerator: Accelerator | None = None, *, test: bool = False) -> None:
        """Make the environment fit for use; nothing is run or fetched when it already is.

        ``accelerator`` chooses the build of PyTorch; None keeps the earlier choice, or chooses for a new environment.
        ``test`` asks for the test packages too. Raises SetupError where that is not possible; what was there stays.
        """
        leftovers = (self.new, self.before)
        if not any(map(os.path.lexists, leftovers)) and self.judge(accelerator, test=test)[0].action == "use":
            return
        with install_lock(self.folder + ".lock", self.say) as lock:
            for whole in leftovers:  # a start that was killed between the two renames
                if not os.path.lexists(self.folder) and marker.read(whole) is not None:
                    with contextlib.suppress(OSError):
                        os.rename(whole, self.folder)
            judged, wanted = self.judge(accelerator, test=test)
            if judged.action != "use":
                self.say(judged.reason + " ...")
                if marker.read(self.new) != wanted:  # else it was finished, and only could not be put in place
                    run = self.make_runner(self.log_path, self.environ)
                    installation = Installation(
                        self.root, self.folder, self.new, self.requirements, self.say, run, lock, self.log_path
                    )
                    installation.build(judged.action, wanted)
                self._swap()
            for leftover in leftovers:
                with contextlib.suppress(OSError):  # in use; the next start tries again
                    folders.remove(leftover)

    def judge(self, accelerator: Accelerator | None, *, test: bool = False) -> tuple[Verdict, Marker]:
        """Return what has to happen to the environment and the marker it is to get."""
        found = marker.read(self.folder)
        chosen = accelerator or (found.accelerator if found else None)
        with_tests = test or (found is not None and found.test_key)  # once there, they are kept up to date
        test_key = self.requirements.test_key if with_tests else ""
        wanted = marker.wanted_marker(self.root, self.requirements.key, chosen or "cpu", test_key)
        judged = marker.verdict(
            found,
            wanted,
            exists=os.path.lexists(self.folder),
            ours=marker.is_ours(self.folder),
            interpreter_works=self._interpreter_works(),
        )
        if chosen is None and judged.action != "use":  # asked for last: it may start a program
            wanted = replace(wanted, accelerator=torch_build.default_accelerator())
        return judged, wanted

    def _swap(self) -> None:
        """Put the new environment in the place of the old one; a folder of somebody else's keeps a name for good."""
        away = self.before
        if os.path.lexists(self.folder) and not marker.is_ours(self.folder):
            names = (f"{self.folder}-old-{number}" for number in itertools.count(1))
            away = next(name for name in names if not os.path.lexists(name))
            self.say(f"  What was there is now {away}; remove it if nobody needs it.")
        try:
            folders.remove(self.before)
            if os.path.lexists(self.folder):
                os.rename(self.folder, away)
            try:
                os.rename(self.new, self.folder)
            except OSError:
                if os.path.lexists(away):
                    os.rename(away, self.folder)
                raise
        except OSError as error:
            message = (
                f"The old environment cannot be replaced: {error}. Close every program that uses .venv (Heddle itself "
                "too), or remove the folder by hand, then start again."
            )
            raise SetupError(message) from error

    def _interpreter_works(self) -> bool:
        """Whether the interpreter is still there: the link in .venv and the Python that it leads to."""
        if not os.path.exists(self.python):
            return False
        try:
            with open(os.path.join(self.folder, "pyvenv.cfg"), encoding="utf-8") as file:
                home = re.search(r"^home\s*=\s*(.+)$", file.read(), re.MULTILINE)
        except (OSError, UnicodeDecodeError):
            return False
        return home is not None and os.path.isdir(home[1].strip())
