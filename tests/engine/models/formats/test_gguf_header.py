"""Headers of GGUF files are read within bounds: what is cut off, hostile or odd is refused with a sentence."""

from __future__ import annotations

import os
import struct
import subprocess
import sys

import gguf_files
import numpy as np
import pytest
from gguf_files import Typed, header, packed, text

from engine.errors import ModelError
from engine.models.folder import look
from engine.models.formats.gguf.header import Strings, read_header

MATRIX = gguf_files.stored(np.arange(64.0).reshape(2, 32))
VALUES = {
    "general.architecture": "llama",
    "flag": True,
    "many": [1, 2, 3],
    "names": ["a", "bc", "ü"],
    "small": Typed(0, b"\x07"),
    "share": 0.5,
}


def test_what_was_written_is_read(tmp_path):
    path = gguf_files.write(tmp_path / "a.gguf", VALUES, {"one": MATRIX, "two": MATRIX})
    found = read_header(str(path), "a.gguf")
    names = found.values.pop("names")
    assert isinstance(names, Strings)
    assert names.count == 3
    assert found.values == {
        "general.architecture": "llama", "flag": True, "many": [1, 2, 3], "small": 7, "share": 0.5
    }  # fmt: skip
    found.values["names"] = names
    assert found.strings("names") == ["a", "bc", "ü"]
    assert [(t.shape, t.type.name, t.bytes) for t in found.tensors.values()] == [((2, 32), "F32", 256)] * 2
    assert found.tensors["two"].start + 256 == os.path.getsize(path)


def test_every_cut_of_a_file_is_refused_by_name(tmp_path):
    whole = gguf_files.write(tmp_path / "a.gguf", VALUES, {"one": MATRIX, "two": MATRIX}).read_bytes()
    path = tmp_path / "cut.gguf"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError, match=r"^cut\.gguf (is cut off|became shorter)"):
            read_header(str(path), "cut.gguf")


def begun(tensors: int, pairs: int) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, pairs)


ODD = {
    "another kind of file": (b"PK\x03\x04" + bytes(40), "does not begin with GGUF"),
    "an old version": (b"GGUF" + struct.pack("<IQQ", 1, 0, 0) + bytes(40), "version 1"),
    "the other byte order": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0) + bytes(40), "other byte order"),
    "tensors without end": (begun(1 << 62, 1) + bytes(99), "tensors and"),
    "pairs without end": (begun(1, 1 << 62) + bytes(99), "tensors and"),
    "a text without end": (begun(0, 1) + struct.pack("<Q", 1 << 60) + bytes(99), "a text of"),
    "a list without end": (
        begun(0, 1) + text("k") + struct.pack("<IIQ", 9, 4, 1 << 60) + bytes(99),
        "lists more than any model has",
    ),
    "a list of lists": (begun(0, 1) + text("k") + struct.pack("<IIQ", 9, 9, 1) + bytes(99), "unknown kind 9"),
    "an unknown kind of value": (begun(0, 1) + text("k") + struct.pack("<I", 77) + bytes(99), "unknown kind 77"),
    "a key twice": (begun(0, 2) + 2 * (text("k") + packed(1)) + bytes(99), "says k twice"),
    "a text that is not UTF-8": (
        begun(0, 1) + text("k") + struct.pack("<IQ", 8, 2) + b"\xff\xfe" + bytes(99),
        "not UTF-8",
    ),
    "nine dimensions": (begun(1, 0) + text("t") + struct.pack("<I9QIQ", 9, *[1] * 9, 0, 0) + bytes(99), "9 dimensions"),
    "an astronomic shape": (
        begun(1, 0) + text("t") + struct.pack("<I4QIQ", 4, *[1 << 60] * 4, 0, 0) + bytes(99),
        "a shape that F32 cannot have",
    ),
    "half a block": (begun(1, 0) + text("t") + struct.pack("<I2QIQ", 2, 33, 1, 8, 0) + bytes(999), "Q8_0 cannot have"),
    "a place beyond the end": (
        begun(1, 0) + text("t") + struct.pack("<I2QIQ", 2, 32, 1, 0, (1 << 64) - 64) + bytes(999),
        "is cut off",
    ),
    "a block type of tomorrow": (
        begun(1, 0) + text("t") + struct.pack("<I2QIQ", 2, 32, 1, 99, 0) + bytes(999),
        "block type number 99",
    ),
    "a block type that is not read": (
        begun(1, 0) + text("t") + struct.pack("<I2QIQ", 2, 32, 1, 39, 0) + bytes(999),
        "block type MXFP4",
    ),
    "an alignment that is none": (header({"general.alignment": 3}, {"t": MATRIX}) + bytes(999), "alignment of 3"),
    "tensors on top of each other": (
        begun(2, 0)
        + b"".join(text(name) + struct.pack("<I2QIQ", 2, 32, 2, 0, place) for name, place in (("a", 0), ("b", 32)))
        + bytes(999),
        "overlap",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_header_is_refused_with_what_is_wrong(tmp_path, name):
    data, said = ODD[name]
    path = tmp_path / "odd.gguf"
    path.write_bytes(data)
    facts = look(str(path))
    assert not facts.usable
    assert said in facts.problems[0]
    assert facts.problems[0].startswith("odd.gguf ")


def test_a_pipe_a_folder_and_nothing_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.gguf")
    assert "not a regular file" in look(str(tmp_path / "pipe.gguf")).problems[0]
    (tmp_path / "link.gguf").symlink_to(tmp_path / "gone")
    assert "does not exist" in look(str(tmp_path / "link.gguf")).problems[0]
    assert "is missing" in look(str(tmp_path / "none.gguf")).problems[0]


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the peak of memory is read from /proc")
@pytest.mark.parametrize("kind", ["texts", "pairs", "tensors", "parts"])
def test_the_worst_header_that_the_bounds_allow_takes_little(tmp_path, kind):
    if kind == "texts":
        data = begun(0, 1) + text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2_999_999) + bytes(8 * 2_999_999)
    elif kind == "pairs":
        data = begun(0, 65_536) + b"".join(text(f"k{n:06}") + packed("v" * 1900) for n in range(65_536))
    elif kind == "tensors":
        data = begun(65_536, 0) + b"".join(
            text(f"{n:06}") + struct.pack("<I1QIQ", 1, 1, 0, 4 * n) for n in range(65_536)
        )
    else:
        big = begun(0, 1) + text("a") + struct.pack("<IIQ", 9, 8, 2_000_000) + bytes(8 * 2_000_000)
        for n in range(1, 1024):
            target = tmp_path / f"big-{n:05}-of-01024.gguf"
            os.link(tmp_path / "big-00001-of-01024.gguf", target) if n > 1 else target.write_bytes(big)
        data = big
    path = tmp_path / ("big-01024-of-01024.gguf" if kind == "parts" else "big.gguf")
    path.write_bytes(data + bytes(64 + 4 * 65_536))
    program = (
        f"from engine.models.folder import look; facts = look({str(path)!r}); assert not facts.usable, facts;"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    # The limit is only there so that a reader without bounds fails: these take a second.
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert int(told) < 300_000
