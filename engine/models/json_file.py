"""JSON files of a model folder, read without trusting them: size, kind of file, nesting and numbers are bounded."""

from __future__ import annotations

import codecs
import json
import math
import os
from typing import Any

from engine.errors import ModelError
from engine.models.regular import IrregularFileError, open_regular

LIMIT = 10 * 1024 * 1024
"""Largest configuration file in bytes that is parsed; real ones stay below 1 MB."""

VALUES = 3_000_000
"""Most values in one file that is parsed: over twice as many as the largest tokenizer has. Each takes some 100 bytes."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is the beginning of this one
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def mark_of(data: bytes) -> str:
    """Return the encoding by the byte order mark that ``data`` begins with, empty without one.

    Editors put such marks there; JSON does not have them (RFC 8259, section 8.1), but lets readers pass over them.
    """
    return next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "")


def value_count(data: bytes) -> int:
    """Return how many values the JSON text ``data`` holds at most, without parsing it."""
    return sum(map(data.count, (b",", b"[", b"{")))


def read_json(path: str, shown: str, *, limit: int = LIMIT) -> Any:
    """Return the value in the JSON file ``path``; ``shown`` is its name in messages.

    Raises ModelError when the file is missing, is no regular file (a FIFO would block), is larger than ``limit``
    bytes, holds more than ``VALUES`` values, or is not valid JSON in UTF-8, nesting bombs included. A byte order mark is
    passed over.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise ModelError(
                    f"{shown} is {size / 1e6:,.0f} MB large, and at most {limit / 1e6:,.0f} MB are read. "
                    "No model has such a file: download it again."
                )
            data = file.read(limit + 1)
        if value_count(data) > VALUES:
            raise ModelError(f"{shown} holds more values than any model's file, over {VALUES:,}. Download it again.")
        return json.loads(data.decode(mark_of(data) or "utf-8"))
    except IrregularFileError as error:
        raise ModelError(
            f"{shown} is not a regular file. Put the model's own {os.path.basename(shown)} there."
        ) from error
    except FileNotFoundError as error:
        what = "is a link to a file that does not exist" if os.path.islink(path) else "is missing"
        raise ModelError(f"{shown} {what}. Download the model again, or choose the folder that holds it.") from error
    except OSError as error:
        raise ModelError(
            f"{shown} cannot be read ({error.strerror or error}). Check the file and its permissions."
        ) from error
    except RecursionError as error:
        raise ModelError(f"{shown} is nested too deeply to be a model's file. Download it again.") from error
    except ValueError as error:
        raise ModelError(f"{shown} is not valid JSON ({error}). Download it again.") from error


def read_object(path: str, shown: str, *, limit: int = LIMIT) -> dict[str, Any]:
    """Return the object in the JSON file ``path``; raises ModelError as ``read_json`` does, or when it holds none."""
    value = read_json(path, shown, limit=limit)
    if not isinstance(value, dict):
        raise ModelError(f"{shown} holds {_kind(value)} where an object {{...}} belongs. Download it again.")
    return value


def non_finite(value: Any) -> str:
    """Return the dotted name of the first NaN or infinite number in ``value``, or an empty string.

    Python's parser takes ``NaN`` and ``Infinity``, which JSON does not have. ``time_step_limit`` of state-space models
    is written with ``Infinity`` by transformers itself and is let through.
    """
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        name, item = waiting.pop()
        if isinstance(item, float) and not math.isfinite(item):
            return name
        if isinstance(item, dict):
            waiting += [(f"{name}.{key}".lstrip("."), v) for key, v in item.items() if key != "time_step_limit"]
        elif isinstance(item, list):
            waiting += [(f"{name}[{index}]", v) for index, v in enumerate(item)]
    return ""


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "a truth value", int: "a number", float: "a number"}
    return names.get(type(value), "nothing")
