"""JSON Lines: an object a line, each a row of a table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, BinaryIO

from engine.documents import signatures
from engine.documents.readers import tables
from engine.documents.readers.base import Decode, Part
from engine.documents.readers.tables import SAMPLE, Row, Table, TableReader

_ENDINGS = (".jsonl", ".ndjson", ".json")


class JsonLines(TableReader):
    """Reads JSON Lines: a document a line."""

    name = "JSON Lines"
    plain = True

    @classmethod
    def takes(cls, path: str, head: bytes) -> bool:
        """Tell whether it is called JSON and its first line is a whole object; one object over many lines is text."""
        if not path.lower().endswith(_ENDINGS):
            return False
        lines = head.removeprefix(b"\xef\xbb\xbf").lstrip().split(b"\n", 1)
        if len(lines) == 1 and len(head) >= signatures.HEAD:  # longer than what was read of it
            return head.lstrip()[:1] == b"{" and not path.lower().endswith(".json")
        try:
            first = json.loads(lines[0])
        except (ValueError, RecursionError):
            return False
        return isinstance(first, dict) and (
            not path.lower().endswith(".json") or (len(lines) > 1 and bool(lines[1].strip()))
        )

    def parts(self, file: BinaryIO, decode: Decode) -> Iterator[Part]:
        """Walk the lines; the file's text is held meanwhile."""
        found = decode(file.read())
        yield from tables.parts_of(found, _table(found.text), self.column)


def _table(text: str) -> Table:
    """Return the objects as a table: a column for each key, in the order in which they are met."""
    lines = _objects(text)
    first = list(islice(lines, SAMPLE))
    keys = list(dict.fromkeys(key for _, value, _ in first for key in value))
    columns = tables.names(keys)
    places = {key: place for place, key in enumerate(keys)}
    return Table(columns, (_row(number, value, problem, places) for number, value, problem in chain(first, lines)))


def _objects(text: str) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Walk the lines that are not blank: number, object, and why it is none."""
    start = number = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        line, start, number = text[start:end], end + 1, number + 1
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, {}, f"line {number} is no JSON: {error}"
            continue
        if isinstance(value, dict):
            yield number, value, ""
        else:
            yield number, {}, f"line {number} is no JSON object"


def _row(number: int, value: dict[str, Any], problem: str, places: dict[str, int]) -> Row:
    cells = [""] * len(places)
    late: list[tuple[str, str]] = []
    for key, item in value.items():
        if key in places:
            cells[places[key]] = _cell(item)
        else:
            late.append((key, _cell(item)))
    return Row(f"line {number}", cells, tuple(late), problem)


def _cell(item: Any) -> str:
    if item is None:
        return ""
    return item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
