"""The note inside an environment that says what it holds; written last, so an environment without it is not whole."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from dataclasses import asdict, dataclass
from typing import Literal

from bootstrap.arguments import Accelerator
from bootstrap.requirements import SCHEMA

FILE = "heddle.json"


@dataclass(frozen=True)
class Marker:
    """What an environment was made for."""

    schema: int
    python: str
    """Implementation and version whose compiled packages fit, e.g. ``cpython-311``."""
    platform: str
    """As sysconfig names it, e.g. ``linux-x86_64``."""
    root: str
    """The folder of the project when it was installed."""
    accelerator: Accelerator
    key: str
    """Requirements.key at the time."""
    test_key: str = ""
    """Requirements.test_key once the test packages are in, else empty."""


@dataclass(frozen=True)
class Verdict:
    """What has to happen before an environment can be used."""

    action: Literal["use", "move", "update", "make"]
    """``move`` and ``update`` change a copy, ``make`` begins with nothing."""
    reason: str = ""
    """For the user; empty for ``use``."""


def wanted_marker(root: str, key: str, accelerator: Accelerator, test_key: str = "") -> Marker:
    """Return the marker that an environment made now, by this Python, would get."""
    tag = sys.implementation.cache_tag or sys.implementation.name
    return Marker(SCHEMA, tag, sysconfig.get_platform(), root, accelerator, key, test_key)


def verdict(found: Marker | None, wanted: Marker, *, exists: bool, ours: bool, interpreter_works: bool) -> Verdict:
    """Compare the environment that is there (``found``) with the one that is ``wanted``.

    ``ours`` tells a damaged environment from one that somebody else made: that one is kept under another name.
    """
    if not exists:
        return Verdict("make", "Making the environment .venv")
    if not ours:
        return Verdict("make", ".venv was not made by start.py; making our own and setting it aside")
    if found is None:
        return Verdict("make", ".venv is there but not complete; building it anew")
    if not interpreter_works:
        return Verdict("make", "The Python that .venv was made with is gone; building it anew")
    if found.schema != wanted.schema:
        return Verdict("make", ".venv was made by another version of Heddle; building it anew")
    if (found.python, found.platform) != (wanted.python, wanted.platform):
        there, here = f"{found.python} on {found.platform}", f"{wanted.python} on {wanted.platform}"
        return Verdict("make", f".venv was made for {there}, this is {here}; building it anew")
    if found.accelerator != wanted.accelerator:
        return Verdict("update", f"Changing the build of PyTorch from {found.accelerator} to {wanted.accelerator}")
    if found.key != wanted.key:
        return Verdict("update", "The requirements have changed; updating .venv")
    if found.test_key != wanted.test_key:
        return Verdict("update", "Installing what the tests need")
    if found.root != wanted.root:
        return Verdict("move", "Heddle was moved; updating .venv")
    return Verdict("use")


def read(folder: str) -> Marker | None:
    """Return the marker of the environment in ``folder``, or None where there is none that makes sense."""
    try:
        with open(os.path.join(folder, FILE), encoding="utf-8") as file:
            marker = Marker(**json.load(file))
    except (OSError, ValueError, TypeError):
        return None
    return marker if marker.accelerator in {"cpu", "cuda"} else None


def is_ours(folder: str) -> bool:
    """Return whether start.py made the environment in ``folder``, be it finished or damaged."""
    return os.path.lexists(os.path.join(folder, FILE))


def write(folder: str, marker: Marker) -> None:
    """Put ``marker`` into the environment in ``folder``, all of it or nothing: from here on it is whole."""
    path = os.path.join(folder, FILE)
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(asdict(marker), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)
