"""The note inside an environment that says what it holds; written last, so an environment without it is not whole."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

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

    @property
    def built_for(self) -> str:
        """Python and system, for the user."""
        return f"{self.python} on {self.platform}"


Action = Literal["use", "move", "update", "make"]
"""``move`` and ``update`` change a copy of the environment, ``make`` begins with nothing."""


class Verdict(NamedTuple):
    """What has to happen before an environment can be used, and why, for the user."""

    action: Action
    reason: str = ""


def wanted_marker(root: str, key: str, accelerator: Accelerator, test_key: str = "") -> Marker:
    """Return the marker that an environment made now, by this Python, would get."""
    tag = sys.implementation.cache_tag or sys.implementation.name
    return Marker(SCHEMA, tag, sysconfig.get_platform(), root, accelerator, key, test_key)


def verdict(found: Marker | None, wanted: Marker, *, exists: bool, ours: bool, interpreter_works: bool) -> Verdict:
    """Compare the environment that is there (``found``) with the one that is ``wanted``.

    ``ours`` tells a damaged environment from one that somebody else made: that one is kept under another name.
    """
    there = found or wanted
    cases: tuple[tuple[bool, Action, str], ...] = (
        (not exists, "make", "Making the environment .venv"),
        (not ours, "make", ".venv was not made by start.py; making our own and setting it aside"),
        (found is None, "make", ".venv is there but not complete; building it anew"),
        (not interpreter_works, "make", "The Python that .venv was made with is gone; building it anew"),
        (there.schema != wanted.schema, "make", ".venv was made by another version of Heddle; building it anew"),
        (there.built_for != wanted.built_for, "make", f".venv was made for {there.built_for}; building it anew"),
        (there.accelerator != wanted.accelerator, "update", f"Changing PyTorch to its build for {wanted.accelerator}"),
        (there.key != wanted.key, "update", "The requirements have changed; updating .venv"),
        (there.test_key != wanted.test_key, "update", "Installing what the tests need"),
        (there.root != wanted.root, "move", "Heddle was moved; updating .venv"),
    )
    return next((Verdict(action, reason) for applies, action, reason in cases if applies), Verdict("use"))


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
