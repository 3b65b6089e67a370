"""What lies in a model folder that is not a plain file of its own: links, pipes, devices.

A Hugging Face cache's own links are fine; any other that leads outside is not, and neither is a pipe or a device.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from engine.models.regular import special

DEPTH = 4
"""How many folders deep is looked; model folders have one or two."""

ENTRIES = 20_000
"""How many entries are looked at; model folders have a few dozen."""

_SNAPSHOT = re.compile(r"models--(?P<name>[^/\\]+)[/\\]snapshots[/\\][^/\\]+$")


def cached_name(folder: str) -> str:
    """Return ``org/name`` if ``folder`` is a snapshot in a Hugging Face cache, else an empty string."""
    match = _SNAPSHOT.search(os.path.realpath(folder))
    return match["name"].replace("--", "/") if match else ""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where links of a model folder may lead: inside ``base``, or to ``blobs`` of the cache it is a snapshot in."""

    base: str
    blobs: str

    @classmethod
    def of(cls, folder: str) -> Bounds:
        """Return the bounds of ``folder``."""
        base = os.path.realpath(folder)
        return cls(base, _blobs(base))

    def in_cache(self, path: str) -> bool:
        """Tell whether ``path``, with links followed, is one of the cache's blobs."""
        return bool(self.blobs) and _within(os.path.realpath(path), self.blobs)

    def allow(self, path: str) -> bool:
        """Tell whether ``path``, with links followed, stays where the model's files are."""
        return self.in_cache(path) or _within(os.path.realpath(path), self.base)


def outside_links(folder: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the links that lead outside ``folder``: the allowed ones, and a sentence for each entry that is refused.

    Allowed is what a Hugging Face cache makes: from ``models--X/snapshots/REVISION/`` to ``models--X/blobs/``. Refused
    are other links to the outside, and pipes, sockets and devices, reached directly or by a link. Hidden folders are not
    looked at, because nothing is loaded from them. Raises OSError when the folder cannot be listed.
    """
    bounds = Bounds.of(folder)
    allowed: list[str] = []
    refused: list[str] = []
    waiting = [(bounds.base, 0)]
    seen = 0
    while waiting:
        place, depth = waiting.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                seen += 1
                if seen > ENTRIES:
                    refused.append(f"The folder holds more than {ENTRIES:,} entries. Choose the model's own folder.")
                    return tuple(sorted(allowed)), tuple(sorted(refused))
                name = os.path.relpath(entry.path, bounds.base)
                if entry.is_symlink() and not bounds.allow(entry.path):
                    refused.append(
                        f"{name} is a link that leads outside the model's folder, to {os.path.realpath(entry.path)}. "
                        "Put a copy of the file there instead."
                    )
                elif what := _special(entry):
                    refused.append(
                        f"{name} is not a regular file but {what}. Remove it, or put the model's file there."
                    )
                elif entry.is_symlink():
                    if bounds.in_cache(entry.path):
                        allowed.append(name)
                elif depth < DEPTH and not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, depth + 1))
    return tuple(sorted(allowed)), tuple(sorted(refused))


def _special(entry: os.DirEntry[str]) -> str:
    try:
        return special(entry.stat().st_mode)
    except OSError:  # a link to nothing: whoever needs the file says so
        return ""


def _blobs(base: str) -> str:
    """Return the folder of the cache's blobs if ``base`` is a snapshot and that folder is no link itself."""
    if not _SNAPSHOT.search(base):
        return ""
    blobs = os.path.join(os.path.dirname(os.path.dirname(base)), "blobs")
    return blobs if os.path.realpath(blobs) == blobs else ""


def _within(path: str, folder: str) -> bool:
    return os.path.normcase(path).startswith(os.path.normcase(folder.rstrip(os.sep) + os.sep))
