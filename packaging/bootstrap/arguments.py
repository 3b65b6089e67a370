"""The arguments of start.py, taken apart by hand: what follows the command belongs to the command, untouched."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

Accelerator = Literal["cpu", "cuda"]
Command = Literal["window", "test", "heddle", "python", "help"]

WINDOW_OPTIONS = {"--data-dir": True, "--patience": True, "--sample": False, "--smoke": True, "--version": False}
"""The options of the window (gui.app.options), and whether a value follows."""


class UsageError(Exception):
    """Arguments that make no sense; the message says which."""


@dataclass(frozen=True)
class Request:
    """One call of start.py: the command, and its arguments or the window's, exactly as given."""

    command: Command
    rest: tuple[str, ...] = ()
    accelerator: Accelerator | None = None
    """The build of PyTorch asked for in this call, or None to keep what was chosen before."""


def parse(argv: list[str]) -> Request:
    """Return the request that ``argv`` (without the program's name) makes, or raise UsageError."""
    accelerator: Accelerator | None = None
    window: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        option, equals, value = word.partition("=")
        if word in {"-h", "--help", "help"}:
            return Request("help", accelerator=accelerator)
        if not window and (word == "test" or word == "heddle" or word == "python"):  # noqa: PLR1714 - narrows the type
            return Request(word, tuple(words), accelerator)
        if option == "--accelerator" or WINDOW_OPTIONS.get(option):
            if not equals and not words:
                message = f"{word} takes a value"
                raise UsageError(message)
            given = [word] if equals else [word, value := words.pop(0)]
            if option == "--accelerator":
                if value not in {"cpu", "cuda"}:
                    message = f"--accelerator takes cpu or cuda, not {value!r}"
                    raise UsageError(message)
                accelerator = "cuda" if value == "cuda" else "cpu"
            else:
                window += given
        elif word == "--":
            window += [word, *words]
            break
        elif word in WINDOW_OPTIONS or os.path.exists(word):  # documents for the window
            window.append(word)
        else:
            message = f"start.py does not know {word!r}"
            raise UsageError(message)
    return Request("window", tuple(window), accelerator=accelerator)
