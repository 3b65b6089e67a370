"""What has to be installed: the ranges of pyproject.toml under the pins of packaging/constraints.txt."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from dataclasses import dataclass

from bootstrap import SetupError

SCHEMA = 1
"""Raise when the way of installing changes, so that environments made the old way are made again."""

STARTER_MODEL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the weights in the starter package: sentence-transformers/all-MiniLM-L6-v2, model.safetensors."""

WRITER_MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""Of the file in the writer's package."""

WRITER_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Requirements:
    """Everything that decides what an environment must hold."""

    runtime: tuple[str, ...]
    """Requirement specifiers of the program, torch included."""
    build: tuple[str, ...]
    """What building the project itself takes; installed too, so that nothing is fetched twice."""
    test: tuple[str, ...]
    """What the checks and tests take on top."""
    starter: str
    """The package that carries the starter model, pinned."""
    writer: str
    """The package that carries the writer, pinned."""
    torch_version: str
    """The pinned release of torch without its local part, e.g. ``2.13.0``."""
    constraints_path: str
    """The file given to pip as constraints."""
    key: str
    """Changes whenever the environment of the program must be brought up to date."""
    test_key: str
    """Changes whenever the test packages must be brought up to date."""


def pinned(constraints: str) -> dict[str, str]:
    """Return name -> version of every ``name==version`` line; names in lower case with hyphens (PEP 503)."""
    pins: dict[str, str] = {}
    for line in constraints.splitlines():
        found = re.match(r"([A-Za-z0-9._-]+)==([^\s;#]+)", line.strip())
        if found:
            pins[re.sub(r"[-_.]+", "-", found[1]).lower()] = found[2]
    return pins


def load(root: str) -> Requirements:
    """Read the requirements of the project in ``root``; raise SetupError where its files are missing or damaged."""
    constraints_path = os.path.join(root, "packaging", "constraints.txt")
    try:
        with open(os.path.join(root, "pyproject.toml"), "rb") as file:
            project_file = tomllib.load(file)
        with open(constraints_path, encoding="utf-8") as file:
            constraints = file.read()
        project = project_file["project"]
        runtime = tuple(project["dependencies"])
        build = tuple(project_file["build-system"]["requires"])
        test = tuple(project_file["dependency-groups"]["test"])
        (starter,) = project["optional-dependencies"]["starter"]
        (writer,) = project["optional-dependencies"]["writer"]
        torch_version = pinned(constraints)["torch"]
    except (OSError, KeyError, ValueError) as error:
        message = f"This copy of Heddle is not complete: {error!r}. Fetch it again."
        raise SetupError(message) from error
    pins = [line for line in (raw.partition("#")[0].strip() for raw in constraints.splitlines()) if line]
    return Requirements(
        runtime=runtime,
        build=build,
        test=test,
        starter=starter,
        writer=writer,
        torch_version=torch_version,
        constraints_path=constraints_path,
        key=_digest([SCHEMA, project, project_file["build-system"], pins, STARTER_MODEL_SHA256, WRITER_MODEL_SHA256]),
        test_key=_digest([SCHEMA, test, pins]),
    )
