"""A model's fingerprint: which model gave an answer, told without loading it. No torch."""

from __future__ import annotations

import hashlib
import os

from engine.errors import HeddleError
from engine.models.starter import starter_folder

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".onnx", ".gguf", ".h5", ".msgpack")
"""Endings of files that are too large to be read for this."""
_WHOLE = 64 << 20
"""Other files are read whole up to this size; tokenizers are the largest of them."""
_HEADER = 16 << 20
"""Bytes of a safetensors header that count; real ones have some hundred kB."""
_DEPTH = 3


def fingerprint(folder: str) -> str:
    """Return the sha256 of what makes the model in ``folder`` (or ``starter``) itself; empty when it cannot be read.

    Configurations, tokenizers, templates and prompts count byte for byte; weights by name, size, time of change and,
    for safetensors, by their header (names, shapes, formats). It takes milliseconds. What it can miss: weights that were
    changed in place, with the same shapes, and given their old time of change again. What it can take for another
    model: an equal copy whose weights have another time of change. The folder's own name and place do not count.
    """
    try:
        place = starter_folder() if folder == "starter" else folder
        digest = hashlib.sha256(b"heddle model 1\n")
        files = sorted(_files(place))
        if not files:
            return ""
        for name in files:
            _add(digest, place, name)
    except (OSError, HeddleError):
        return ""
    return digest.hexdigest()


def _files(root: str) -> list[str]:
    found: list[str] = []
    for folder, folders, names in os.walk(root, followlinks=False):
        inside = os.path.relpath(folder, root)
        depth = 0 if inside == "." else inside.count(os.sep) + 1
        folders[:] = [name for name in folders if not name.startswith(".")] if depth < _DEPTH else []
        found += [os.path.normpath(os.path.join(inside, name)) for name in names if not name.startswith(".")]
    return found


def _add(digest: hashlib._Hash, root: str, name: str) -> None:
    path = os.path.join(root, name)
    status = os.stat(path)  # through links: the files of a Hugging Face cache are links to blobs
    digest.update(f"{len(os.fsencode(name))} {status.st_size} ".encode() + os.fsencode(name) + b"\n")
    weights = name.lower().endswith(_WEIGHTS)
    if weights or status.st_size > _WHOLE:
        digest.update(f"{status.st_mtime_ns}\n".encode())
    if weights and not name.lower().endswith(".safetensors"):
        return
    with open(path, "rb") as file:
        if weights:
            length = int.from_bytes(file.read(8), "little")
            digest.update(file.read(min(length, _HEADER)))
        elif status.st_size <= _WHOLE:
            digest.update(file.read())
