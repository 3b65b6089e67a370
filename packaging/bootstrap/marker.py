"""The note inside .venv that says what it holds; written last, so an environment without it is not whole."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import sysconfig
from dataclasses import asdict, dataclass
from typing import Literal

from bootstrap.arguments import Accelerator
from bootstrap.requirements import SCHEMA

FILE = "heddle.json"
UNFINISHED = "heddle-unfinished"
"""A file that lies in the environment while it is being changed; what is killed in between leaves it behind."""


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

    action: Literal["use", "create", "update", "rebuild", "replace"]
    """``rebuild`` removes what is there, ``replace`` keeps it under another name."""
    reason: str = ""
    """For the user; empty for ``use``."""


def wanted_marker(root: str, key: str, accelerator: Accelerator) -> Marker:
    """Return the marker that an environment made now, by this Python, would get."""
    tag = sys.implementation.cache_tag or sys.implementation.name
    return Marker(SCHEMA, tag, sysconfig.get_platform(), root, accelerator, key)


def verdict(found: Marker | None, wanted: Marker, *, exists: bool, ours: bool, interpreter_works: bool) -> Verdict:
    """Compare the environment that is there (``found``) with the one that is ``wanted``.

    ``ours`` tells a half-made environment from one that somebody else made: that one is not ours to remove. Broken
    ones are built anew; one that is merely behind is updated in place, so that losing the network in the middle does
    not cost the user what works.
    """
    if not exists:
        return Verdict("create", "Making the environment .venv")
    if not ours:
        return Verdict("replace", ".venv was not made by start.py; setting it aside and making our own")
    if found is None:
        return Verdict("rebuild", ".venv is there but not complete; building it anew")
    if not interpreter_works:
        return Verdict("rebuild", "The Python that .venv was made with is gone; building it anew")
    if found.schema != wanted.schema:
        return Verdict("rebuild", ".venv was made by another version of Heddle; building it anew")
    if (found.python, found.platform) != (wanted.python, wanted.platform):
        there, here = f"{found.python} on {found.platform}", f"{wanted.python} on {wanted.platform}"
        return Verdict("rebuild", f".venv was made for {there}, this is {here}; building it anew")
    if found.accelerator != wanted.accelerator:
        return Verdict("update", f"Changing the build of PyTorch from {found.accelerator} to {wanted.accelerator}")
    if found.root != wanted.root:
        return Verdict("update", "Heddle was moved; updating .venv")
    if found.key != wanted.key:
        return Verdict("update", "The requirements have changed; updating .venv")
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
    """Return whether start.py made the environment in ``folder``, be it finished, damaged or left half-way."""
    return any(os.path.lexists(os.path.join(folder, name)) for name in (FILE, UNFINISHED))


def begin(folder: str) -> None:
    """Mark the environment in ``folder`` as being changed: until ``write`` it is not whole."""
    with open(os.path.join(folder, UNFINISHED), "w", encoding="utf-8") as file:
        file.write("Left half-way; start.py makes this environment anew.\n")
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(folder, FILE))


def write(folder: str, marker: Marker) -> None:
    """Put ``marker`` into the environment in ``folder``, all of it or nothing: from here on it is whole."""
    path = os.path.join(folder, FILE)
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(asdict(marker), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(folder, UNFINISHED))
