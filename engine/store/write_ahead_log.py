"""The write-ahead log as bytes: what SQLite will not read of it, because a checksum in it does not fit.

SQLite stops without a word at the first frame whose checksum does not fit: after a power loss that is the end of what was
committed, and after a flipped bit it is a loss (https://www.sqlite.org/fileformat.html, 4: "The Write-Ahead Log").
"""

from __future__ import annotations

import os
import struct

_HEADER, _FRAME_HEADER = 32, 24
_LITTLE, _BIG = 0x377F0682, 0x377F0683
_MASK = 0xFFFFFFFF
_NEAR = 2
"""Salts that differ from the log's by so few bits are the log's, damaged: those of an older log are random."""
LARGEST = 64 << 20
"""Bytes of a log that is looked through, a second's work; a log is folded into the journal long before."""


def lost_commits(path: str, page: int) -> int:
    """Return how many commits in the log at ``path`` cannot be read any more; 0 for a whole log, or none.

    ``page`` is the size of the journal's pages. At least 1 where frames of this log stand behind one that does not fit
    its checksum. Frames of a write that was not committed when the process died are no loss.
    """
    try:
        size = os.path.getsize(path)
        if size <= _HEADER or size > LARGEST:
            return 0
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return 0
    return _lost(data, page)


def _lost(data: bytes, page: int) -> int:
    frame = _FRAME_HEADER + page
    count = (len(data) - _HEADER) // frame
    magic, _, size = struct.unpack_from(">III", data)
    order = ">" if magic == _BIG else "<"
    sums = _checksum(data[:24], order, (0, 0))
    if magic not in {_LITTLE, _BIG} or size != page or struct.pack(">II", *sums) != data[24:32]:
        return max(1, sum(_is_commit(data, _HEADER + n * frame) for n in range(count))) if count else 0
    salts = data[16:24]
    at = _HEADER
    for number in range(count):
        header = data[at : at + _FRAME_HEADER]
        sums = _checksum(header[:8], order, sums)
        sums = _checksum(data[at + _FRAME_HEADER : at + frame], order, sums)
        if header[8:16] != salts or struct.pack(">II", *sums) != header[16:24]:
            behind = range(number, count)
            ours = [n for n in behind if _is_near(data, _HEADER + n * frame, salts)]
            commits = sum(_is_commit(data, _HEADER + n * frame) for n in ours)
            # Without a commit it is what a write left that was taken back, unless it is the very end.
            return commits or int(ours == [count - 1] == [number])
        at += frame
    return 0


def _is_commit(data: bytes, at: int) -> bool:
    return data[at + 4 : at + 8] != bytes(4)


def _is_near(data: bytes, at: int, salts: bytes) -> bool:
    found = int.from_bytes(data[at + 8 : at + 16], "big")
    return (found ^ int.from_bytes(salts, "big")).bit_count() <= _NEAR


def _checksum(data: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    for one, two in struct.iter_unpack(f"{order}II", data):
        first = (first + one + second) & _MASK
        second = (second + two + first) & _MASK
    return first, second
