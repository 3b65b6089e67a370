"""How large the program is: printed, with what takes the most, and bounded."""

from __future__ import annotations

import os

from freeze import BuildError

UNPACKED, PACKED = 1_050, 420
"""Megabytes (of a million bytes) that a program folder and a package may take."""


def size_of(folder: str) -> int:
    """Return the bytes of all files under ``folder``, or of the file; links count nothing."""
    if os.path.isfile(folder):
        return os.path.getsize(folder)
    paths = (os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)
    return sum(os.path.getsize(path) for path in paths if not os.path.islink(path))


def largest(folder: str, count: int = 12) -> list[tuple[str, int]]:
    """Return name and bytes of the largest entries of ``folder``, largest first."""
    found = [
        (name, size_of(path)) for name in os.listdir(folder) if not os.path.islink(path := os.path.join(folder, name))
    ]
    return sorted(found, key=lambda entry: -entry[1])[:count]


def check(what: str, size: int, limit: int) -> None:
    """Print the size of ``what`` in bytes; raises BuildError where it is more than ``limit`` megabytes."""
    print(f"{what}: {size / 1e6:,.1f} MB (at most {limit:,})", flush=True)
    if size > limit * 1_000_000:
        raise BuildError(f"{what} takes {size / 1e6:,.1f} MB, more than {limit:,} MB. See packaging/freeze/cuts.py.")
