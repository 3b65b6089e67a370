"""Symbolic links in a model folder: a Hugging Face cache's own are fine, any other that leads outside is not."""

from __future__ import annotations

import os
import re

DEPTH = 4
"""How many folders deep is looked; model folders have one or two."""

ENTRIES = 20_000
"""How many entries are looked at; model folders have a few dozen."""

_SNAPSHOT = re.compile(r"models--(?P<name>[^/\\]+)[/\\]snapshots[/\\][^/\\]+$")


def cached_name(folder: str) -> str:
    """Return ``org/name`` if ``folder`` is a snapshot in a Hugging Face cache, else an empty string."""
    match = _SNAPSHOT.search(os.path.realpath(folder))
    return match["name"].replace("--", "/") if match else ""


def outside_links(folder: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the links that lead outside ``folder``: the allowed ones, and a sentence for each that is refused.

    Allowed is what a Hugging Face cache makes: from ``models--X/snapshots/REVISION/`` to ``models--X/blobs/``. Hidden
    folders are not looked at, because nothing is loaded from them. Raises OSError when the folder cannot be listed.
    """
    base = os.path.realpath(folder)
    blobs = _blobs(base)
    allowed: list[str] = []
    refused: list[str] = []
    waiting = [(base, 0)]
    seen = 0
    while waiting:
        place, depth = waiting.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                seen += 1
                if seen > ENTRIES:
                    refused.append(f"The folder holds more than {ENTRIES:,} entries. Choose the model's own folder.")
                    return tuple(sorted(allowed)), tuple(sorted(refused))
                if entry.is_symlink():
                    name = os.path.relpath(entry.path, base)
                    target = os.path.realpath(entry.path)
                    if blobs and _within(target, blobs):
                        allowed.append(name)
                    elif not _within(target, base):
                        refused.append(
                            f"{name} is a link that leads outside the model's folder, to {target}. "
                            "Put a copy of the file there instead."
                        )
                elif depth < DEPTH and not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, depth + 1))
    return tuple(sorted(allowed)), tuple(sorted(refused))


def _blobs(base: str) -> str:
    """Return the folder of the cache's blobs if ``base`` is a snapshot and that folder is no link itself."""
    if not _SNAPSHOT.search(base):
        return ""
    blobs = os.path.join(os.path.dirname(os.path.dirname(base)), "blobs")
    return blobs if os.path.realpath(blobs) == blobs else ""


def _within(path: str, folder: str) -> bool:
    return os.path.normcase(path).startswith(os.path.normcase(folder.rstrip(os.sep) + os.sep))
