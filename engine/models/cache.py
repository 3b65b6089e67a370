"""The Hugging Face cache: its entries and their snapshots."""

from __future__ import annotations

import os

from engine.models.regular import open_regular

CACHED = "models--"
"""Beginning of the name of a model's entry in a Hugging Face cache."""


def newest_snapshot(entry: str) -> str:
    """Return the snapshot folder that ``refs/main`` of a cache's entry names, else the one changed last, else ``""``."""
    snapshots = os.path.join(entry, "snapshots")
    try:
        with open_regular(os.path.join(entry, "refs", "main")) as file:
            revision = file.read(200).decode("ascii").strip()
        if revision in folders_in(snapshots):
            return os.path.join(snapshots, revision)
    except (OSError, ValueError):
        pass
    folders = [os.path.join(snapshots, name) for name in folders_in(snapshots)]
    return max(folders, key=_changed, default="")


def folders_in(folder: str) -> list[str]:
    """Return the names of the folders in ``folder``, none where it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_dir()]
    except (OSError, ValueError):
        return []


def _changed(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
