"""The header of a GGUF file, checked against the file before anything is mapped or allocated by what it claims.

Format (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), little endian: ``GGUF``, version, number of tensors,
number of metadata pairs; the pairs (key, type, value); the tensors (name, dimensions, type, place); padding; the data.
"""

from __future__ import annotations

import math
import os
import struct
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

from engine.errors import ModelError
from engine.models.formats.gguf.block_types import BLOCK_TYPES, OTHERS, BlockType
from engine.models.regular import IrregularFileError, open_regular

VERSIONS = (2, 3)
LIMIT = 128 << 20
"""Longest header in bytes; real ones, with their vocabulary, have up to 30 MB."""
PAIRS, TENSORS = 65_536, 65_536
"""Most metadata pairs and tensors of one file."""
ITEMS = 3_000_000
"""Most array elements of a header together; the largest vocabularies with scores, types and merges have a million."""
LATER_ITEMS = 10_000
"""The same for the second and later files of a set, which describe no more than their tensors."""
KEY, TEXT = 4096, 8 << 20
"""Longest name and longest text in bytes; chat templates have some 20 kB."""
DIMENSIONS = 4

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_PIECE = 1 << 20

Scalar = int | float | bool | str


@dataclass(frozen=True, slots=True)
class Strings:
    """Texts of a header that were passed over: where they lie, and how many there are."""

    offset: int
    count: int


Value = Scalar | list[Scalar] | Strings


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of one file: its shape in torch's order, how it is stored, and its first byte in the file."""

    name: str
    shape: tuple[int, ...]
    type: BlockType
    number: int
    start: int

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes that it takes in the file."""
        return self.elements // self.type.numbers * self.type.bytes


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself: metadata by key, tensors by name, and its size in bytes."""

    path: str
    shown: str
    values: dict[str, Value]
    tensors: dict[str, Tensor]
    bytes: int

    def number(self, key: str, default: float | None = None) -> float:
        """Return a number of the metadata; raises ModelError where it is none, or missing without ``default``."""
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            what = "does not say" if value is None else "says no number for"
            raise ModelError(f"{self.shown} {what} {key}. Download another version of the model.")
        return value

    def whole(self, key: str, default: int | None = None) -> int:
        """Return a whole number of the metadata; raises ModelError as ``number`` does."""
        value = self.number(key, default)
        if not isinstance(value, int):
            raise ModelError(f"{self.shown} says {value} for {key}, not a whole number. Download it again.")
        return value

    def text(self, key: str) -> str:
        """Return a text of the metadata, empty where there is none."""
        value = self.values.get(key)
        return value if isinstance(value, str) else ""

    def strings(self, key: str) -> list[str]:
        """Read and return a list of texts, empty where there is none; raises ModelError for what is not UTF-8."""
        place = self.values.get(key)
        if not isinstance(place, Strings):
            return []
        try:
            with open_regular(self.path) as file:
                file.seek(place.offset)
                reader = _Reader(file, self.bytes, self.shown, place.offset)
                return [reader.string(TEXT) for _ in range(place.count)]
        except OSError as error:
            raise unreadable(self.shown, error) from error

    def types(self) -> str:
        """Return the block types by how many numbers are stored in them, most first, such as ``Q4_K + F32``."""
        counts: Counter[str] = Counter()
        for tensor in self.tensors.values():
            counts[tensor.type.name] += tensor.elements
        return " + ".join(name for name, _ in counts.most_common())


def read_header(path: str, shown: str, items: int = ITEMS) -> Header:
    """Return the checked header of the GGUF file ``path``; ``shown`` is its name in messages.

    ``items`` is how many array elements it may have.

    Raises ModelError when the file is missing, no GGUF, cut off, of another byte order or version, when its header claims
    more than the file or the limits hold, names something twice, stores numbers in a type that is not known, or lets
    tensors overlap.
    """
    try:
        with open_regular(path) as file:
            return _read(_Reader(file, os.fstat(file.fileno()).st_size, shown, items=items), path)
    except FileNotFoundError as error:
        what = "is a link to a file that does not exist" if os.path.islink(path) else "is missing"
        raise damaged(shown, what) from error
    except IrregularFileError as error:
        raise damaged(shown, "is not a regular file") from error
    except OSError as error:
        raise unreadable(shown, error) from error
    except MemoryError as error:
        raise damaged(shown, "has a header that is too large") from error


def damaged(shown: str, what: str) -> ModelError:
    """Return the error for a file that is not as it should be."""
    return ModelError(f"{shown} {what}. Download it again.")


def unreadable(shown: str, error: OSError) -> ModelError:
    """Return the error for a file that the system does not give."""
    return ModelError(f"{shown} cannot be read ({error.strerror or error}). Check its permissions.")


class _Reader:
    """A file read from the front in pieces, never beyond its end nor beyond the longest header."""

    def __init__(self, file: BinaryIO, size: int, shown: str, start: int = 0, items: int = ITEMS) -> None:
        self._file, self.size, self.shown = file, size, shown
        self._piece, self._at, self._base = b"", 0, start
        self._items = items

    @property
    def offset(self) -> int:
        """Where the next byte lies in the file."""
        return self._base + self._at

    def need(self, count: int) -> None:
        """Make sure that ``count`` bytes lie before us; raises ModelError where the file ends before."""
        have = len(self._piece) - self._at
        if have >= count:
            return
        if self.offset + count > min(self.size, LIMIT):
            if self.size <= LIMIT:
                raise damaged(self.shown, f"is cut off or damaged: its header goes beyond its {self.size:,} bytes")
            raise damaged(self.shown, f"has a header of more than {LIMIT >> 20:,} MB")
        self._base = self.offset
        fresh = self._file.read(max(_PIECE, count - have))
        self._piece, self._at = self._piece[self._at :] + fresh, 0
        if len(self._piece) < count:
            raise damaged(self.shown, "became shorter while it was read")

    def take(self, form: str) -> tuple[int | float | bool, ...]:
        """Return numbers in a format of ``struct``."""
        size = struct.calcsize(form)
        self.need(size)
        self._at += size
        return struct.unpack_from(form, self._piece, self._at - size)

    def count(self, form: str = "<Q") -> int:
        """Return a whole number that counts something."""
        return int(self.take(form)[0])

    def string(self, longest: int) -> str:
        """Return a text of at most ``longest`` bytes."""
        length = self.count()
        if length > longest:
            raise damaged(self.shown, f"is damaged: its header has a text of {length:,} bytes")
        self.need(length)
        self._at += length
        try:
            return self._piece[self._at - length : self._at].decode("utf-8")
        except UnicodeDecodeError as error:
            raise damaged(self.shown, "has a text in its header that is not UTF-8") from error

    def skip_strings(self, count: int) -> None:
        """Pass over texts; a vocabulary has some hundred thousand, so this is kept quick."""
        for _ in range(count):
            if len(self._piece) - self._at < 8:
                self.need(8)
            length = int.from_bytes(self._piece[self._at : self._at + 8], "little")
            if length > TEXT:
                raise damaged(self.shown, f"is damaged: its header has a text of {length:,} bytes")
            self._at += 8
            if len(self._piece) - self._at < length:
                self.need(length)
            self._at += length

    def some(self, count: int) -> None:
        """Count array elements, and refuse when there are more than any model has."""
        self._items -= count
        if self._items < 0:
            raise damaged(self.shown, "is damaged: its header lists more than any model has")


def _read(reader: _Reader, path: str) -> Header:
    shown = reader.shown
    if reader.size < 24:
        raise damaged(shown, f"is cut off: it has {reader.size:,} bytes, fewer than a header takes")
    magic = b"".join(int(n).to_bytes(1, "little") for n in reader.take("<4B"))
    if magic != b"GGUF":
        raise damaged(shown, "is not a GGUF file: it does not begin with GGUF")
    version = reader.count("<I")
    if version not in VERSIONS:
        if version % 65_536 == 0:
            raise ModelError(f"{shown} is for machines with the other byte order. Download the little-endian version.")
        raise ModelError(
            f"{shown} is of GGUF version {version}, and Heddle reads {' and '.join(map(str, VERSIONS))}. "
            "Download a newer version of the model."
        )
    tensors, pairs = reader.count(), reader.count()
    if tensors > TENSORS or pairs > PAIRS:
        raise damaged(shown, f"is damaged: its header says {tensors:,} tensors and {pairs:,} pairs")
    values: dict[str, Value] = {}
    for _ in range(pairs):
        key = reader.string(KEY)
        if key in values:
            raise damaged(shown, f"says {key[:100]} twice")
        values[key] = _value(reader, reader.count("<I"))
    return Header(path, shown, values, _tensors(reader, tensors, values), reader.size)


def _value(reader: _Reader, kind: int) -> Value:
    if kind in _SCALARS:
        return reader.take(_SCALARS[kind])[0]
    if kind == _STRING:
        return reader.string(TEXT)
    if kind != _ARRAY:
        raise damaged(reader.shown, f"is damaged: its header has a value of the unknown kind {kind}")
    inner, count = reader.count("<I"), reader.count()
    reader.some(count)
    if inner == _STRING:
        place = Strings(reader.offset, count)
        reader.skip_strings(count)
        return place
    if inner not in _SCALARS:
        raise damaged(reader.shown, f"is damaged: its header has a list of the unknown kind {inner}")
    return list(reader.take(f"<{count}{_SCALARS[inner][1]}"))


def _tensors(reader: _Reader, count: int, values: dict[str, Value]) -> dict[str, Tensor]:
    shown = reader.shown
    found: list[tuple[str, tuple[int, ...], BlockType, int, int]] = []
    for _ in range(count):
        name = reader.string(KEY)
        dimensions = reader.count("<I")
        if not 1 <= dimensions <= DIMENSIONS:
            raise damaged(shown, f"gives the tensor {name[:100]} {dimensions:,} dimensions")
        shape = tuple(int(n) for n in reversed(reader.take(f"<{dimensions}Q")))
        number, offset = reader.count("<I"), reader.count()
        kind = BLOCK_TYPES.get(number)
        if kind is None:
            stored = OTHERS.get(number, f"number {number}")
            raise ModelError(
                f"{shown} stores the tensor {name[:100]} in the block type {stored}, which Heddle does not read. Choose "
                "a version in Q4_K_M, Q5_K_M, Q6_K or Q8_0."
            )
        if math.prod(shape) >= 1 << 48 or 0 in shape or shape[-1] % kind.numbers:
            raise damaged(shown, f"gives the tensor {name[:100]} a shape that {kind.name} cannot have: {list(shape)}")
        found.append((name, shape, kind, number, offset))
    alignment = values.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 1 <= alignment <= 1 << 20 or alignment & (alignment - 1):
        raise damaged(shown, f"says an alignment of {str(alignment)[:40]}, which is no power of two")
    data = -(-reader.offset // alignment) * alignment
    tensors: dict[str, Tensor] = {}
    for name, shape, kind, number, offset in found:
        if name in tensors:
            raise damaged(shown, f"names the tensor {name[:100]} twice")
        tensors[name] = tensor = Tensor(name, shape, kind, number, data + offset)
        if tensor.start + tensor.bytes > reader.size:
            raise damaged(
                shown,
                f"is cut off: the tensor {name[:100]} ends at byte {tensor.start + tensor.bytes:,}, and the file has "
                f"{reader.size:,}",
            )
    for first, second in pairwise(sorted(tensors.values(), key=lambda each: each.start)):
        if second.start < first.start + first.bytes:
            raise damaged(shown, f"lets the tensors {first.name[:100]} and {second.name[:100]} overlap")
    return tensors
