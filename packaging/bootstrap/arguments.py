"""The arguments of start.py, taken apart by hand: what follows the command belongs to the command, untouched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Accelerator = Literal["cpu", "cuda"]
Command = Literal["window", "test", "heddle", "python", "help"]


class UsageError(Exception):
    """Arguments that make no sense; the message says which."""


@dataclass(frozen=True)
class Request:
    """One call of start.py."""

    command: Command
    rest: tuple[str, ...] = ()
    """Arguments of the command, exactly as given."""
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
        elif word in {"test", "heddle", "python"}:
            command: Command = "test" if word == "test" else "heddle" if word == "heddle" else "python"
            return Request(command, tuple(argv[position + 1 :]), accelerator)
        else:
            message = f"start.py does not know {word!r}"
            raise UsageError(message)
    return Request("window", accelerator=accelerator)
