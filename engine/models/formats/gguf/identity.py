"""Which model a GGUF file is, told without reading its weights."""

from __future__ import annotations

import hashlib
import os

from engine.models.formats.gguf.parts import part_paths, read_files
from engine.models.regular import open_regular

_TOKENIZER = 64 << 20
"""Bytes of a tokenizer.json that count; the longest have 40 MB."""


def gguf_fingerprint(path: str) -> str:
    """Return the sha256 of all headers byte for byte, and of the sizes and times of change of all files.

    A tokenizer.json beside the file counts, because it is used. Raises OSError or ModelError when something cannot be
    read. What it can miss is the same as for folders.
    """
    files = read_files(path)
    digest = hashlib.sha256(b"heddle gguf 1\n")
    for part in part_paths(path):
        status = os.stat(part)
        digest.update(f"{status.st_size} {status.st_mtime_ns}\n".encode())
        data = min((t.start for t, place in files.tensors.values() if place == part), default=status.st_size)
        with open_regular(part) as file:
            digest.update(file.read(min(data, 128 << 20)))
    beside = os.path.join(os.path.dirname(path), "tokenizer.json")
    if os.path.isfile(beside):
        with open_regular(beside) as file:
            digest.update(file.read(_TOKENIZER))
    return digest.hexdigest()
