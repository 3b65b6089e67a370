"""A model's GGUF files: one, or a set that is numbered ``-00001-of-00003``; the first of a set describes the model."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache

from engine.errors import ModelError
from engine.models.formats.gguf.header import ITEMS, LATER_ITEMS, Header, Tensor, read_header
from engine.models.regular import open_regular

ENDING = ".gguf"
PARTS = 1024
_NUMBERED = re.compile(r"^(?P<stem>.+)-(?P<part>\d{5})-of-(?P<parts>\d{5})\.gguf$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Files:
    """A model's files in their order, and its tensors by name, each with the file that holds it."""

    first: Header
    paths: tuple[str, ...]
    tensors: dict[str, tuple[Tensor, str]]
    bytes: int


def is_gguf(path: str) -> bool:
    """Return whether ``path`` names a GGUF file: by its ending, or, like the nameless blobs of Ollama, by its first bytes."""
    if path.lower().endswith(ENDING):
        return not os.path.isdir(path)
    try:
        with open_regular(path) as file:
            return file.read(4) == b"GGUF"
    except (OSError, ValueError):
        return False


def part_paths(path: str) -> list[str]:
    """Return the paths of all files of the model that ``path`` is a file of, the first one first."""
    folder, name = os.path.split(path)
    match = _NUMBERED.match(name)
    if match is None or not 1 <= int(match["parts"]) <= PARTS:
        return [path]
    parts, ending = int(match["parts"]), name[-len(ENDING) :]
    return [os.path.join(folder, f"{match['stem']}-{n:05}-of-{parts:05}{ending}") for n in range(1, parts + 1)]


def first_files(folder: str) -> list[str]:
    """Return the models among the GGUF files in ``folder`` by name: of a numbered set the first, none of projectors."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.name.lower().endswith(ENDING) and entry.is_file())
    except (OSError, ValueError):
        return []
    found: list[str] = []
    for name in names:
        match = _NUMBERED.match(name)
        # The part of a model that sees pictures; llama.cpp's tools name it so.
        if not name.lower().startswith("mmproj") and (match is None or int(match["part"]) == 1):
            found.append(os.path.join(folder, name))
    return found


def model_name(path: str) -> str:
    """Return a file's name without its ending and number, or its folder's where it is no more than ``model``, as Jan's are."""
    folder, name = os.path.split(path)
    match = _NUMBERED.match(name)
    found = match["stem"] if match else name[: -len(ENDING)] if name.lower().endswith(ENDING) else name
    return os.path.basename(folder) or found if found.lower() == "model" else found


def read_files(path: str) -> Files:
    """Return the model that ``path`` is a file of; raises ModelError when one is missing, damaged or of another set.

    Headers are read once for as long as size and time of change of all files stay.
    """
    paths = part_paths(path)
    return _read(tuple(paths), tuple(_state(one) for one in paths))


def _state(path: str) -> tuple[int, int, int]:
    try:
        facts = os.stat(path)
    except OSError:
        return 0, 0, 0
    return facts.st_size, facts.st_mtime_ns, facts.st_ino


@lru_cache(maxsize=16)
def _read(paths: tuple[str, ...], state: tuple[tuple[int, int, int], ...]) -> Files:
    del state
    for path in paths[1:] if len(paths) > 1 else ():
        if not os.path.lexists(path):
            raise ModelError(
                f"{os.path.basename(path)} is missing; the model has {len(paths)} files. Download the missing one."
            )
    headers = [read_header(path, os.path.basename(path), LATER_ITEMS if n else ITEMS) for n, path in enumerate(paths)]
    first = headers[0]
    said = first.whole("split.count", 0)
    if said not in (0, len(paths)) or (len(paths) > 1 and said != len(paths)):
        raise ModelError(
            f"{first.shown} says that the model has {said} files, and its name says {len(paths)}. "
            "Keep the names that the files were downloaded under."
        )
    tensors: dict[str, tuple[Tensor, str]] = {}
    for number, header in enumerate(headers):
        if header.whole("split.no", 0) != number:
            raise ModelError(f"{header.shown} is another part than its name says. Download the model's files again.")
        for name, tensor in header.tensors.items():
            if name in tensors:
                raise ModelError(f"The tensor {name[:100]} is in two files of the model. Download them again.")
            tensors[name] = tensor, header.path
    if (count := first.whole("split.tensors.count", len(tensors))) != len(tensors):
        raise ModelError(
            f"{first.shown} says {count:,} tensors, and its files have {len(tensors):,}. Download them again."
        )
    return Files(first, paths, tensors, sum(header.bytes for header in headers))
