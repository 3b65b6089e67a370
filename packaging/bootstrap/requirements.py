"""What has to be installed: the pins with hashes in packaging/requirements, and torch by its exact version."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from dataclasses import dataclass

from bootstrap import SetupError

SCHEMA = 2
"""Raise when the way of installing changes, so that environments made the old way are made again."""


@dataclass(frozen=True)
class Requirements:
    """Everything that decides what an environment must hold."""

    program: str
    """The file given to pip with the packages of the program, its models and its build, all but torch."""
    tests: str
    """The file with what the checks and tests take on top."""
    torch_version: str
    """The pinned release of torch without its local part, e.g. ``2.13.0``."""
    key: str
    """Changes whenever the environment of the program must be brought up to date."""
    test_key: str
    """Changes whenever the test packages must be brought up to date."""


def pinned(text: str) -> dict[str, str]:
    """Return name -> version of every ``name==version`` line; names in lower case with hyphens (PEP 503)."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def load(root: str) -> Requirements:
    """Read the requirements of the project in ``root``; raise SetupError where its files are missing or damaged."""
    folder = os.path.join(root, "packaging")
    program, tests = (os.path.join(folder, "requirements", name) for name in ("program.txt", "tests.txt"))
    try:
        with open(os.path.join(root, "pyproject.toml"), "rb") as file:
            project = tomllib.load(file)
        torch_version = pinned(_read(os.path.join(folder, "constraints.txt")))["torch"]
        key = _digest([project["project"], project["build-system"], torch_version, _pins(program)])
        return Requirements(program, tests, torch_version, key, _digest(_pins(tests)))
    except (OSError, KeyError, ValueError) as error:
        message = f"This copy of Heddle is not complete: {error!r}. Fetch it again."
        raise SetupError(message) from error


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _pins(path: str) -> list[str]:
    return [line for line in _read(path).splitlines() if not line.startswith("#")]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
