"""Outputs of a step that the journal keeps until their document ends, as rows of SQLite."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import numpy as np

from engine.requests.output import Answer, Encoded, Generated, Output
from engine.store.checksum import fits, result_crc
from engine.store.record import json_text

if TYPE_CHECKING:
    from engine.store.record import Row

OUTPUT_COLUMNS = ("document", "step", "key", "json", "vector", "crc")


def output_row(document: int, step: int, output: Output, asked: str) -> Row:
    """Return an output, which answers what was ``asked`` (question.key), in the order of OUTPUT_COLUMNS."""
    vector: bytes | None = None
    if isinstance(output, Encoded):
        vector = np.ascontiguousarray(output.vector, "<f4").tobytes()
        text = json_text({"asked": asked, "parts": output.parts})
    else:
        text = json_text({"asked": asked, "answers": [dataclasses.asdict(answer) for answer in output.answers]})
    return document, step, output.key, text, vector, result_crc(document, text, vector, f"{step}/{output.key}")


def output_from(row: Row) -> tuple[int, int, str, Output] | None:
    """Build document, step, what was asked, and output of a row in the order of OUTPUT_COLUMNS; None for one that is damaged."""
    document, step, key, text, vector, crc = row
    if not isinstance(key, str) or not isinstance(text, str) or not isinstance(vector, bytes | None):
        return None
    if not fits(crc, result_crc, document, text, vector, f"{step}/{key}"):
        return None
    value = json.loads(text)
    asked = str(value.get("asked", ""))
    if vector is not None:
        return document, step, asked, Encoded(key, np.frombuffer(vector, "<f4").copy(), int(value["parts"]))
    return document, step, asked, Generated(key, tuple(Answer(**answer) for answer in value["answers"]))
