"""The small files beside a tokenizer's vocabulary: what transformers refuses of them only when it loads them."""

from __future__ import annotations

import os
from typing import Any

from engine.errors import ModelError
from engine.models.json_file import read_object
from engine.models.templates import Template, check_template, find_template

CONFIG = "tokenizer_config.json"

_OBJECTS = ("special_tokens_map.json", "added_tokens.json")

_MARKS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def check_tokenizer_files(folder: str, shown: str) -> dict[str, Any]:
    """Return tokenizer_config.json, empty where there is none; ``shown`` goes before file names in messages.

    Raises ModelError for a value of a kind that transformers does not take.
    """
    for name in _OBJECTS:
        if os.path.lexists(os.path.join(folder, name)):
            read_object(os.path.join(folder, name), shown + name)
    if not os.path.lexists(os.path.join(folder, CONFIG)):
        return {}
    name = shown + CONFIG
    config = read_object(os.path.join(folder, CONFIG), name)
    for key in _MARKS:
        if not _is_mark(config.get(key, "")):
            raise ModelError(f"{name}: {key} is not a token's text. Download the file again.")
    named = config.get("model_specific_special_tokens")
    if named is not None and not (isinstance(named, dict) and all(map(_is_mark, named.values()))):
        raise ModelError(
            f"{name}: model_specific_special_tokens is not an object of names and tokens. Remove the entry, or download "
            "the file again."
        )
    for key in ("extra_special_tokens", "additional_special_tokens"):
        extra = config.get(key)
        if extra is None or (isinstance(extra, str) and key == "additional_special_tokens"):
            continue
        if not isinstance(extra, (list, dict)) or not all(
            map(_is_mark, extra.values() if isinstance(extra, dict) else extra)
        ):
            raise ModelError(f"{name}: {key} is not a list of tokens. Download the file again.")
    kind = config.get("tokenizer_class")
    if kind is not None and not isinstance(kind, str):
        raise ModelError(f"{name}: tokenizer_class is not a name. Download the file again.")
    added = config.get("added_tokens_decoder")
    if added is not None and not (
        isinstance(added, dict) and all(number.isdecimal() and _is_mark(value) for number, value in added.items())
    ):
        raise ModelError(
            f"{name}: added_tokens_decoder is not an object of numbers and tokens. Download the file again."
        )
    return config


def look_at_template(folder: str, shown: str, config: dict[str, Any]) -> Template | None:
    """Return the chat template, parsed and not run; raises ModelError where it is damaged."""
    template = find_template(folder, shown, config)
    if template is not None:
        check_template(template)
    return template


def check_generation_config(folder: str, shown: str, config: dict[str, Any]) -> None:
    """Raise ModelError where generation_config.json cannot be read, or an end of text is no token's number.

    transformers goes on without a file that it cannot read, and answers then run past their ends.
    """
    path = os.path.join(folder, "generation_config.json")
    own = read_object(path, f"{shown}generation_config.json") if os.path.lexists(path) else {}
    for name, said in (("config.json", config), ("generation_config.json", own)):
        ends = said.get("eos_token_id")
        if not all(end is None or type(end) is int for end in (ends if isinstance(ends, list) else [ends])):
            raise ModelError(f"{shown}{name}: eos_token_id is not a token's number. Download the file again.")


def mark_texts(folder: str, config: dict[str, Any]) -> dict[str, str]:
    """Return the texts of marks by their names (``bos_token``), as a chat template is given them."""
    path = os.path.join(folder, _OBJECTS[0])
    table = (read_object(path, _OBJECTS[0]) if os.path.lexists(path) else {}) | config
    found = {key: table.get(key) for key in _MARKS}
    texts = {key: value.get("content") if isinstance(value, dict) else value for key, value in found.items()}
    return {key: text for key, text in texts.items() if isinstance(text, str)}


def _is_mark(value: Any) -> bool:
    """Tell whether ``value`` is a token as these files write one: a text, an object with one, or null."""
    return (
        value is None or isinstance(value, str) or (isinstance(value, dict) and isinstance(value.get("content"), str))
    )
