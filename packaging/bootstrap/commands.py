"""The commands of start.py: bring the environment up, then hand over to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import NoReturn

from bootstrap import SetupError, arguments, checks, folders, qt_libraries, requirements
from bootstrap.display import find_display
from bootstrap.environment import Environment
from bootstrap.qt_libraries import Part, lack_message
from bootstrap.runner import child_environment

_PART_OF: dict[str, Part] = {"xcb": "xcb", "wayland": "wayland", "chosen": "gui"}
"""The part of Qt that a platform needs; Windows and macOS bring their own libraries."""


def say(text: str) -> None:
    """Tell the user something; on standard error, so that the output of a command stays its own."""
    print(text, file=sys.stderr, flush=True)


def main(root: str, argv: list[str], help_text: str) -> int:
    """Run the command in ``argv`` for the project in ``root``; return its exit code, or do not return at all."""
    try:
        request = arguments.parse(argv)
    except arguments.UsageError as error:
        say(f"{error}\n\n{help_text.strip()}")
        return 2
    if request.command == "help":
        print(help_text.strip())
        return 0
    signal.signal(signal.SIGTERM, _stop)  # so that pip is ended too, not left behind
    try:
        environment = Environment(root, requirements.load(root), say, os.environ)
        environment.ensure(request.accelerator, test=request.command == "test")
        return _run(environment, request, child_environment(os.environ))
    except SetupError as error:
        say(f"\n{error}")
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted. Start again to finish.")
        return 130
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    del frame
    sys.exit(128 + number)


def _run(environment: Environment, request: arguments.Request, environ: dict[str, str]) -> int:
    python, root = environment.python, environment.root
    # Python would look for modules in the current folder first; a pile in a folder "engine" must not become ours.
    ours = {**environ, "PYTHONSAFEPATH": "1"}
    if request.command == "python":
        return _hand_over([python, *request.rest], environ)
    if request.command == "heddle":
        lacking = _missing(environment, "core")
        if lacking:
            say(lack_message(lacking))
        return _hand_over([python, "-m", "engine.cli", *request.rest], ours)
    if request.command == "test":
        _require(environment, "gui")
        environ = checks.check_environment(environ)
        if request.rest:
            os.chdir(root)
            return _hand_over([python, "-m", "pytest", *request.rest], environ)
        return checks.run_all(python, root, environ)
    return _window(environment, request.rest, ours)


def _window(environment: Environment, rest: Sequence[str], environ: dict[str, str]) -> int:
    """Open the window with its own arguments ``rest``, or run the sample pile where there is no display for it."""
    display = find_display(environ, sys.platform)
    if not display.platforms:
        if set(rest) - {"--sample"}:
            message = f"No display here for a window: {display.reason}. Without one, documents are worked on with:"
            raise SetupError(f"{message}\n    python3 start.py heddle run --help")
        _require(environment, "core")
        print(f"No display here: {display.reason}. Running the sample pile without a window.\n", flush=True)
        return _hand_over([environment.python, "-m", "engine.cli", "sample"], environ)
    lacking = {platform: _missing(environment, _PART_OF.get(platform)) for platform in display.platforms}
    usable = [platform for platform in display.platforms if not lacking[platform]]
    if not usable:
        message = lack_message(min(lacking.values(), key=len))
        message += "\nWithout a window, the sample pile runs with:\n    python3 start.py heddle sample"
        raise SetupError(message)
    if usable[0] != display.platforms[0]:  # Qt would try the other one first and complain
        environ = {**environ, "QT_QPA_PLATFORM": usable[0]}
    return _hand_over([environment.python, "-m", "gui", *rest], environ)


def _missing(environment: Environment, part: Part | None) -> list[str]:
    if part is None or not sys.platform.startswith("linux"):
        return []
    return qt_libraries.missing_libraries(os.path.join(folders.packages(environment.folder), "PySide6"), part)


def _require(environment: Environment, part: Part) -> None:
    lacking = _missing(environment, part)
    if lacking:
        raise SetupError(lack_message(lacking))


def _hand_over(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Become ``command``; where a process cannot (Windows), run it and return its exit code."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        os.execve(command[0], list(command), dict(environ))  # noqa: S606 - the path is ours, not a shell's
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the child by itself
    return subprocess.run(list(command), env=dict(environ), check=False).returncode
