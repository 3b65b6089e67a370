"""Where a model lies: what users name, and the folder with the files that is meant by it."""

from __future__ import annotations

import os

from engine.models.cache import CACHED, newest_snapshot
from engine.models.formats.gguf.parts import first_files
from engine.models.supplied import supplied


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
