"""The tokenizer files of a model folder, looked at without loading them."""

from __future__ import annotations

import importlib.util
import os
from functools import lru_cache
from typing import Any

from engine.errors import ModelError
from engine.models.json_file import read_json, read_object

LIMIT = 512 * 1024 * 1024
"""Largest tokenizer.json in bytes that is accepted; real ones reach about 40 MB."""

PARSED = 64 * 1024 * 1024
"""Largest tokenizer.json in bytes that is parsed to count its tokens; a larger one is left to the loader."""

_SENTENCEPIECE = ("sentencepiece.bpe.model", "spiece.model", "tokenizer.model", "spm.model")


def look_at_tokenizer(folder: str, shown: str = "") -> tuple[str, int]:
    """Return the main tokenizer file in ``folder`` and its largest token id (-1 when that was not counted).

    ``shown`` goes before file names in messages. Raises ModelError when there is no tokenizer that can be used, or its
    files are damaged.
    """
    main = os.path.join(folder, "tokenizer.json")
    _refuse_code(folder, shown)
    if os.path.lexists(main):
        return "tokenizer.json", _largest_id(main, shown + "tokenizer.json")
    words = os.path.join(folder, "vocab.txt")
    if os.path.isfile(words):
        with open(words, "rb") as file:
            return "vocab.txt", len(file.read(PARSED).splitlines()) - 1
    pairs = os.path.join(folder, "vocab.json")
    if os.path.isfile(pairs) and os.path.isfile(os.path.join(folder, "merges.txt")):
        ids = read_object(pairs, shown + "vocab.json", limit=PARSED).values()
        return "vocab.json", max((i for i in ids if type(i) is int), default=-1)
    pieces = next((name for name in _SENTENCEPIECE if os.path.isfile(os.path.join(folder, name))), "")
    if pieces and importlib.util.find_spec("sentencepiece") is not None:
        return pieces, -1
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


def _largest_id(path: str, shown: str) -> int:
    try:
        facts = os.stat(path)
    except OSError:
        return _counted(path, shown, 0, 0)
    if PARSED < facts.st_size <= LIMIT:
        return -1
    return _counted(path, shown, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=64)
def _counted(path: str, shown: str, size: int, changed: int) -> int:
    """Parse tokenizer.json once for as long as its size and time of change stay; a large one takes half a second."""
    del size, changed
    value = read_json(path, shown, limit=PARSED)
    model = value.get("model") if isinstance(value, dict) else None
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), (dict, list)):
        raise ModelError(f"{shown} holds no vocabulary. Download it again.")
    vocabulary: Any = model["vocab"]
    ids: list[Any] = [len(vocabulary) - 1] if isinstance(vocabulary, list) else list(vocabulary.values())
    added = value.get("added_tokens")
    if isinstance(added, list):
        ids += [token.get("id") for token in added if isinstance(token, dict)]
    if not ids or not all(type(i) is int and i >= 0 for i in ids):
        raise ModelError(f"{shown} has token numbers that are not whole numbers. Download it again.")
    return max(ids)
