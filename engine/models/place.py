"""Where a model lies: what users name, and the folder with the files that is meant by it."""

from __future__ import annotations

import os

from engine.models.formats.gguf.parts import first_files
from engine.models.regular import open_regular
from engine.models.supplied import supplied

CACHED = "models--"
"""Beginning of the name of a model's entry in a Hugging Face cache."""


def model_place(name: str) -> str:
    """Return the folder, or the GGUF file, of the model that ``name`` names.

    ``starter`` and ``writer`` are those that came with Heddle; the entry of a Hugging Face cache (``models--org--name``, or its folder
    ``snapshots``) stands for its newest snapshot; a folder with a single GGUF model and no other for that; anything else
    for itself. Raises ModelError when one that came with Heddle is not installed.
    """
    if found := supplied(name):
        return found.place()
    path = os.path.abspath(name)
    if os.path.basename(path) == "snapshots":
        path = os.path.dirname(path)
    if os.path.basename(path).startswith(CACHED) and (snapshot := newest_snapshot(path)):
        path = name = snapshot
    return _only_file(path) or name


def _only_file(folder: str) -> str:
    """Return the GGUF model in ``folder`` where it is the only one, and no other model lies there; else empty."""
    files = first_files(folder)
    if len(files) != 1 or any(name.endswith(".safetensors") for name in os.listdir(folder)):
        return ""
    return files[0]


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
