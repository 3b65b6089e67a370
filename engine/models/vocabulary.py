"""The tokenizer files of a model folder, looked at without loading them."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from engine.errors import ModelError
from engine.models.json_file import read_json, read_object
from engine.models.regular import open_regular

LIMIT = 512 * 1024 * 1024
"""Largest tokenizer.json in bytes that is accepted; real ones reach about 40 MB."""

PARSED = 48 * 1024 * 1024
"""Largest tokenizer.json in bytes that is parsed to count its tokens; a larger one is left to the loader."""

_SENTENCEPIECE = ("sentencepiece.bpe.model", "spiece.model", "tokenizer.model", "spm.model")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The main tokenizer file and its largest token ids, -1 where they were not counted.

    ``largest`` is the largest id that any text can get; ``special`` the largest of a mark that a text gets only when it
    holds the mark's name, such as ``<image_soft_token>`` in the text-only models of a family that also reads images.
    """

    file: str
    largest: int = -1
    special: int = -1


def look_at_tokenizer(folder: str, shown: str = "") -> Vocabulary:
    """Return the tokenizer's vocabulary in ``folder``.

    ``shown`` goes before file names in messages. Raises ModelError when there is no tokenizer that can be used, or its
    files are damaged.
    """
    main = os.path.join(folder, "tokenizer.json")
    _refuse_code(folder, shown)
    if os.path.lexists(main):
        return _parsed(main, shown + "tokenizer.json")
    words = os.path.join(folder, "vocab.txt")
    if os.path.isfile(words):
        with open_regular(words) as file:
            return Vocabulary("vocab.txt", len(file.read(PARSED).splitlines()) - 1)
    pairs = os.path.join(folder, "vocab.json")
    if os.path.isfile(pairs) and os.path.isfile(os.path.join(folder, "merges.txt")):
        ids = read_object(pairs, shown + "vocab.json", limit=PARSED).values()
        return Vocabulary("vocab.json", max((i for i in ids if type(i) is int), default=-1))
    pieces = next((name for name in _SENTENCEPIECE if os.path.isfile(os.path.join(folder, name))), "")
    if pieces and importlib.util.find_spec("sentencepiece") is not None:
        return Vocabulary(pieces)
    if pieces:
        raise ModelError(
            f"{shown}tokenizer.json is missing; {shown}{pieces} alone needs the package sentencepiece. "
            "Download tokenizer.json, or make it where sentencepiece is installed, with "
            'AutoTokenizer.from_pretrained("FOLDER").save_pretrained("FOLDER").'
        )
    raise ModelError(
        f"The tokenizer is missing: there is no {shown}tokenizer.json (and no vocab.txt). "
        "Download the model's tokenizer files into the folder."
    )


def _refuse_code(folder: str, shown: str) -> None:
    """Refuse a tokenizer that exists as code only."""
    path = os.path.join(folder, "tokenizer_config.json")
    if os.path.lexists(path) and not os.path.lexists(os.path.join(folder, "tokenizer.json")):
        table = read_object(path, shown + "tokenizer_config.json").get("auto_map")
        if table:
            raise ModelError(
                f"{shown}tokenizer_config.json asks for tokenizer code from the model's folder, and Heddle runs no "
                "code that comes with a model. Use a version of the model that has a tokenizer.json."
            )


def _parsed(path: str, shown: str) -> Vocabulary:
    try:
        facts = os.stat(path)
    except OSError:
        return _counted(path, shown, 0, 0)
    if PARSED < facts.st_size <= LIMIT:
        return Vocabulary("tokenizer.json")
    return _counted(path, shown, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=64)
def _counted(path: str, shown: str, size: int, changed: int) -> Vocabulary:
    """Parse tokenizer.json once for as long as its size and time of change stay; a large one takes half a second."""
    del size, changed
    value = read_json(path, shown, limit=PARSED)
    model = value.get("model") if isinstance(value, dict) else None
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), (dict, list)):
        raise ModelError(f"{shown} holds no vocabulary. Download it again.")
    vocabulary: Any = model["vocab"]
    ids: list[Any] = [len(vocabulary) - 1] if isinstance(vocabulary, list) else list(vocabulary.values())
    added = value.get("added_tokens")
    marks: list[Any] = []
    for token in added if isinstance(added, list) else []:
        if isinstance(token, dict):
            (marks if token.get("special") is True else ids).append(token.get("id"))
    if not ids or not all(type(i) is int and i >= 0 for i in (*ids, *marks)):
        raise ModelError(f"{shown} has token numbers that are not whole numbers. Download it again.")
    # Marks that the template puts around every text are needed, special or not.
    around = set(_numbers(value.get("post_processor")))
    return Vocabulary("tokenizer.json", max(*ids, *around, -1), max(marks, default=-1))


def _numbers(value: Any) -> list[int]:
    """Return all whole numbers inside a JSON value; in a template these are token ids and segment numbers."""
    found: list[int] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if type(item) is int:
            found.append(item)
        elif isinstance(item, (dict, list)):
            waiting += item.values() if isinstance(item, dict) else item
    return found
