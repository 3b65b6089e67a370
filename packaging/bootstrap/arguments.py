"""The arguments of start.py, taken apart by hand: what follows the command belongs to the command, untouched."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, get_args

Accelerator = Literal["cpu", "cuda"]
Command = Literal["window", "test", "heddle", "python", "help"]


WINDOW_OPTIONS = {"--data-dir": True, "--patience": True, "--sample": False, "--smoke": True, "--version": False}
"""The options of the window (gui.app.options), and whether a value follows."""


class UsageError(Exception):
    """Arguments that make no sense; the message says which."""


@dataclass(frozen=True)
class Request:
    """One call of start.py."""

    command: Command
    rest: tuple[str, ...] = ()
    """Arguments of the command or of the window, exactly as given."""
    accelerator: Accelerator | None = None
    """The build of PyTorch asked for in this call, or None to keep what was chosen before."""


def accelerator_named(name: str) -> Accelerator:
    """Return ``name`` as an accelerator, or raise UsageError."""
    for accelerator in get_args(Accelerator):
        if name == accelerator:
            return accelerator
    message = f"--accelerator takes cpu or cuda, not {name!r}"
    raise UsageError(message)


def parse(argv: list[str]) -> Request:
    """Return the request that ``argv`` (without the program's name) makes, or raise UsageError."""
    accelerator: Accelerator | None = None
    window: list[str] = []
    position = 0
    while position < len(argv):
        word = argv[position]
        if word in {"-h", "--help", "help"}:
            return Request("help", accelerator=accelerator)
        if word == "--accelerator":
            if position + 1 == len(argv):
                raise UsageError("--accelerator takes cpu or cuda")
            accelerator = accelerator_named(argv[position + 1])
            position += 2
        elif word.startswith("--accelerator="):
            accelerator = accelerator_named(word.partition("=")[2])
            position += 1
        elif word.partition("=")[0] in WINDOW_OPTIONS:
            words = 2 if WINDOW_OPTIONS[word.partition("=")[0]] and "=" not in word else 1
            if position + words > len(argv):
                message = f"{word} takes a value"
                raise UsageError(message)
            window += argv[position : position + words]
            position += words
        elif word == "--":
            window += argv[position:]
            position = len(argv)
        elif word in {"test", "heddle", "python"} and not window:
            command: Command = "test" if word == "test" else "heddle" if word == "heddle" else "python"
            return Request(command, tuple(argv[position + 1 :]), accelerator)
        elif os.path.exists(word):  # documents for the window
            window.append(word)
            position += 1
        else:
            message = f"start.py does not know {word!r}"
            raise UsageError(message)
    return Request("window", tuple(window), accelerator=accelerator)
