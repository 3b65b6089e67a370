"""A model's fingerprint: which model gave an answer, told without loading it. No torch."""

from __future__ import annotations

import hashlib
import os

from engine.errors import HeddleError
from engine.models.formats.gguf.identity import gguf_fingerprint
from engine.models.formats.gguf.parts import is_gguf
from engine.models.links import ENTRIES, Bounds
from engine.models.place import model_place
from engine.models.regular import open_regular, special

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".onnx", ".gguf", ".h5", ".msgpack")
"""Endings of files that are too large to be read for this."""
_WHOLE = 64 << 20
"""Other files are read whole up to this size; tokenizers are the largest of them."""
_HEADER = 16 << 20
"""Bytes of a safetensors header that count; real ones have some hundred kB."""
_ALL = 512 << 20
"""Bytes that are read of a folder; what comes after them counts as weights do. No model has as much beside them."""
_DEPTH = 3


def fingerprint(folder: str) -> str:
    """Return the sha256 of what makes the model in ``folder`` (or ``starter``) itself; empty when it cannot be read.

    Configurations, tokenizers, templates and prompts count byte for byte; weights by name, size, time of change and,
    for safetensors, by their header (names, shapes, formats). It takes milliseconds. What it can miss: weights that were
    changed in place, with the same shapes, and given their old time of change again. What it can take for another
    model: an equal copy whose weights have another time of change. The folder's own name and place do not count.

    Only regular files inside the folder, or a cache's blobs, are opened, and bytes and entries are bounded: pipes,
    devices and links to elsewhere count by their names.
    """
    try:
        place = model_place(folder)
        if is_gguf(place):
            return gguf_fingerprint(place)
        digest = hashlib.sha256(b"heddle model 1\n")
        files = sorted(_files(place))
        if not files:
            return ""
        bounds, left = Bounds.of(place), _ALL
        for name in files:
            left -= _add(digest, place, name, bounds, left)
    except (OSError, ValueError, HeddleError):
        return ""
    return digest.hexdigest()


def _files(root: str) -> list[str]:
    found: list[str] = []
    for folder, folders, names in os.walk(root, followlinks=False):
        inside = os.path.relpath(folder, root)
        depth = 0 if inside == "." else inside.count(os.sep) + 1
        folders[:] = [name for name in folders if not name.startswith(".")] if depth < _DEPTH else []
        found += [os.path.normpath(os.path.join(inside, name)) for name in names if not name.startswith(".")]
        if len(found) > ENTRIES:
            return []  # no model's folder; it is refused
    return found


def _add(digest: hashlib._Hash, root: str, name: str, bounds: Bounds, left: int) -> int:
    """Add one file to ``digest`` and return the bytes that were read of it, at most ``left``."""
    path = os.path.join(root, name)
    if not bounds.allow(path) or special(os.stat(path).st_mode):
        digest.update(b"not opened " + os.fsencode(name) + b"\n")
        return 0
    status = os.stat(path)  # through links: the files of a Hugging Face cache are links to blobs
    digest.update(f"{len(os.fsencode(name))} {status.st_size} ".encode() + os.fsencode(name) + b"\n")
    weights = name.lower().endswith(_WEIGHTS)
    whole = not weights and status.st_size <= min(_WHOLE, left)
    if not whole:
        digest.update(f"{status.st_mtime_ns}\n".encode())
    if not whole and not name.lower().endswith(".safetensors"):
        return 0
    with open_regular(path) as file:
        length = status.st_size if whole else min(int.from_bytes(file.read(8), "little"), _HEADER, left)
        data = file.read(length)
    digest.update(data)
    return len(data)
