"""The header of a safetensors file, checked against the file before anything is mapped or allocated.

Format (https://github.com/huggingface/safetensors#format): 8 bytes of header length N (little endian), N bytes of JSON
``{"name": {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {...}}``, then the data without holes.
"""

from __future__ import annotations

import json
import math
import os
import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeGuard

from engine.errors import ModelError
from engine.models.json_file import VALUES, value_count
from engine.models.regular import IrregularFileError, open_regular

LIMIT = 32 << 20
"""Longest header in bytes; 90,000 tensors, the most that any model has in all its files together, take a third of it."""

DIMENSIONS = 64
"""Most dimensions of a tensor, the limit of torch."""

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "I16": 16, "U16": 16, "I32": 32, "U32": 32, "I64": 64, "U64": 64, "C64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F16": 16, "BF16": 16, "F32": 32, "F64": 64,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
}  # fmt: skip
"""Bits of one element by the format's dtype names."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a file: its dtype by the format's name, its shape, and its bytes counted from the data's start."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Header:
    """The tensors of one file by name, and the size of the file in bytes."""

    path: str
    tensors: dict[str, Tensor]
    bytes: int


class _DuplicateError(ValueError):
    pass


def read_header(path: str, shown: str) -> Header:
    """Return the checked header of the safetensors file ``path``; ``shown`` is its name in messages.

    Raises ModelError when the file is missing, cut off or longer than the header says, when the header is larger than
    the file or not valid, names a tensor twice, has an unknown dtype, a shape that does not match its byte range, or
    ranges that overlap or leave holes.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size < 8:
                raise _damaged(shown, f"is cut off: it has {size} bytes, fewer than its header's length takes")
            (length,) = struct.unpack("<Q", file.read(8))
            if length > size - 8:
                raise _damaged(shown, f"is cut off: its header says {length:,} bytes, the whole file has {size:,}")
            if length > LIMIT:
                raise _damaged(shown, f"has a header of {length:,} bytes, and at most {LIMIT:,} are allowed")
            text = file.read(length)
    except FileNotFoundError as error:
        what = "is a link to a file that does not exist" if os.path.islink(path) else "is missing"
        raise _damaged(shown, what) from error
    except IrregularFileError as error:
        raise _damaged(shown, "is not a regular file") from error
    except OSError as error:
        raise ModelError(f"{shown} cannot be read ({error.strerror or error}). Check its permissions.") from error
    return Header(path, _tensors(text, size - 8 - length, shown), size)


def _tensors(text: bytes, data: int, shown: str) -> dict[str, Tensor]:
    """Parse the header's JSON and check it against ``data`` bytes that follow it."""
    try:
        if not text.startswith(b"{"):
            raise _damaged(shown, "is not a safetensors file: its header does not begin with {")
        if value_count(text) > VALUES:
            raise _damaged(shown, "has a header with more entries than any model has tensors")
        value = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except _DuplicateError as error:
        raise _damaged(shown, f"names the tensor {error} twice") from error
    except RecursionError as error:
        raise _damaged(shown, "has a header that is nested too deeply") from error
    except ValueError as error:
        raise _damaged(shown, f"has a header that is not valid JSON ({error})") from error
    metadata = value.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise _damaged(shown, "has metadata that are not texts")
    tensors = {name: _tensor(name, entry, shown) for name, entry in value.items()}
    _check_ranges(tensors, data, shown)
    return tensors


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise _DuplicateError(name)
        result[name] = value
    return result


def _tensor(name: str, entry: Any, shown: str) -> Tensor:
    if not isinstance(entry, dict):
        raise _damaged(shown, f"describes the tensor {name} in a way that is not the format's")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in BITS:
        raise _damaged(shown, f"stores the tensor {name} in the unknown number format {dtype!r}")
    if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
        raise _damaged(shown, f"gives the tensor {name} a shape or place that are not whole numbers")
    if len(shape) > DIMENSIONS:
        raise _damaged(shown, f"gives the tensor {name} {len(shape):,} dimensions, and no tensor has that many")
    tensor = Tensor(dtype, tuple(shape), offsets[0], offsets[1])
    need = tensor.elements * BITS[dtype]
    if need != (tensor.stop - tensor.start) * 8:
        takes = f"{need // 8:,}" if need < 1 << 63 else "more than any file holds"
        raise _damaged(
            shown,
            f"gives the tensor {name} {max(0, tensor.stop - tensor.start):,} bytes, "
            f"but its shape {list(shape)} as {dtype} takes {takes}",
        )
    return tensor


def _naturals(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**63 for n in value)


def _check_ranges(tensors: dict[str, Tensor], data: int, shown: str) -> None:
    """Refuse ranges that overlap, leave holes, or do not end where the file ends."""
    order = sorted(tensors.items(), key=lambda item: (item[1].start, item[1].stop))
    if order and order[0][1].start != 0:
        raise _damaged(shown, f"leaves a hole before the tensor {order[0][0]}")
    for (before, first), (after, second) in pairwise(order):
        if second.start != first.stop:
            what = "lets {} and {} overlap" if second.start < first.stop else "leaves a hole between {} and {}"
            raise _damaged(shown, what.format(before, after))
    end = order[-1][1].stop if order else 0
    if end > data:
        name = order[-1][0]
        raise _damaged(shown, f"is cut off: its tensors up to {name} take {end:,} bytes, and only {data:,} are there")
    if end < data:
        raise _damaged(shown, f"has {data - end:,} bytes behind its last tensor that belong to none")


def _damaged(shown: str, what: str) -> ModelError:
    return ModelError(f"{shown} {what}. Download or copy this file again.")
