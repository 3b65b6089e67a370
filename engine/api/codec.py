"""Messages on their way between processes: frozen dataclasses, framed as JSON.

A frame is four bytes of length (big endian) and that many bytes of UTF-8 JSON: ``{"type": "Pause", ...fields}``. Nothing
else crosses the border: no pickles, tensors or callbacks. File names that are not UTF-8 cross as lone surrogates, which
JSON escapes carry unharmed.
"""

from __future__ import annotations

import dataclasses
import json
import struct
import types
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any

from engine.api.commands import Command
from engine.api.events import Event
from engine.api.snapshot import DocumentRow

T = typing.TypeVar("T")


VERSION = 2
"""Protocol version; the window refuses an engine that says another one in Hello."""


LIMIT = 256 * 1024 * 1024
"""Largest frame in bytes that a reader accepts; anything above is a broken stream."""


_MESSAGES: dict[str, type] = {c.__name__: c for c in (*typing.get_args(Command), *typing.get_args(Event))}


class ProtocolError(Exception):
    """The stream does not hold a frame of this protocol; the connection is of no use any more."""


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def plain(value: Any) -> Any:
    """Return ``value`` as what JSON knows: dataclasses become dicts, a DocumentRow a list in field order (compact)."""
    if isinstance(value, DocumentRow):
        return [getattr(value, name) for name in DocumentRow.__dataclass_fields__]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f: plain(getattr(value, f)) for f in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def _build(hint: Any, value: Any) -> Any:
    if hint is DocumentRow:
        return DocumentRow.of(value)
    if dataclasses.is_dataclass(hint):
        return restore(typing.cast("type", hint), value)
    origin = typing.get_origin(hint)
    if origin is tuple:
        item = typing.get_args(hint)[0]
        if item is DocumentRow:
            return tuple(map(DocumentRow.of, value))
        return tuple(_build(item, v) for v in value)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _build(next(a for a in typing.get_args(hint) if a is not type(None)), value)
    if hint is float and isinstance(value, int):
        return float(value)
    return value


def restore(kind: type[T], value: dict[str, Any]) -> T:
    """Build the dataclass ``kind`` from what ``plain`` made of it; unknown fields raise ProtocolError."""
    hints = _hints(kind)
    unknown = value.keys() - hints.keys()
    if unknown:
        raise ProtocolError(f"{kind.__name__} has no field {min(unknown)!r}")
    return kind(**{name: _build(hints[name], item) for name, item in value.items()})


def encode(message: Command | Event) -> bytes:
    """Return the frame of one message."""
    body = json.dumps({"type": type(message).__name__, **plain(message)}, separators=(",", ":")).encode("ascii")
    return struct.pack(">I", len(body)) + body


def decode(body: bytes) -> Command | Event:
    """Build the message of one frame's body; raises ProtocolError when it is none of this protocol."""
    try:
        value = json.loads(body)
        kind = _MESSAGES[value.pop("type")]
        return restore(kind, value)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProtocolError(f"not a message of protocol {VERSION}: {error}") from error


class Frames:
    """Cuts a byte stream into messages: feed it what arrived, take out what is complete."""

    def __init__(self) -> None:
        """Start with nothing read."""
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Command | Event]:
        """Add ``data`` and return the messages that are complete now; raises ProtocolError on a broken stream."""
        self.add(data)
        return list(self.messages())

    def add(self, data: bytes) -> None:
        """Add ``data``, to be cut by ``messages``."""
        self._buffer += data

    def messages(self) -> Iterator[Command | Event]:
        """Take out one complete message after the other, each when it is asked for; raises ProtocolError."""
        while len(self._buffer) >= 4:
            (length,) = struct.unpack_from(">I", self._buffer)
            if length > LIMIT:
                raise ProtocolError(f"a frame of {length} bytes is above the limit of {LIMIT}")
            if len(self._buffer) < 4 + length:
                break
            body = bytes(self._buffer[4 : 4 + length])
            del self._buffer[: 4 + length]
            yield decode(body)
