"""The hand-made header reader against the safetensors library: same answer on good files, no softer on bad ones."""

import json
import struct

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from engine.errors import ModelError
from engine.models.safetensors_header import LIMIT, read_header


def entry(dtype="F32", shape=(2,), start=0, stop=8):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, stop]}


def write(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return str(path)


def library_accepts(path):
    try:
        with safe_open(path, "pt") as file:
            file.keys()
    except (SafetensorError, OSError, ValueError):
        return False
    return True


def test_a_good_file_reads_as_the_library_reads_it(tmp_path):
    path = str(tmp_path / "m.safetensors")
    tensors = {
        "weight": torch.ones(3, 4),
        "half": torch.ones(5, dtype=torch.bfloat16),
        "ids": torch.arange(6).reshape(1, 6),
        "flags": torch.ones(7, dtype=torch.bool),
        "scalar": torch.tensor(1.0, dtype=torch.float64),
        "empty": torch.zeros(0, 3),
    }
    save_file(tensors, path, metadata={"format": "pt"})
    header = read_header(path, "m.safetensors")
    with safe_open(path, "pt") as file:
        assert set(header.tensors) == set(file.keys())
        for name, tensor in header.tensors.items():
            assert list(tensor.shape) == file.get_slice(name).get_shape()
            assert tensor.dtype == file.get_slice(name).get_dtype()
    assert header.tensors["weight"].elements == 12
    assert header.bytes == (tmp_path / "m.safetensors").stat().st_size


BAD = {
    "header longer than the file": ({"a": entry()}, b"x" * 8, 10**6, "header says"),
    "a header of many exabytes": ({"a": entry()}, b"x" * 8, 2**63, "header says"),
    "data cut off": ({"a": entry()}, b"x" * 5, None, "cut off"),
    "data left over": ({"a": entry()}, b"x" * 9, None, "belong to none"),
    "no JSON": (b"{nonsense", b"", None, "not valid JSON"),
    "not UTF-8": (b'{"\xff": 1}', b"", None, "not valid JSON"),
    "a list": (b"[]", b"", None, "does not begin with"),
    "nested deeply": (b'{"a":' * 100_000, b"", None, "nested too deeply"),
    "an unknown dtype": ({"a": entry("F31")}, b"x" * 8, None, "unknown number format 'F31'"),
    "a dtype that is no text": ({"a": entry([1])}, b"x" * 8, None, "unknown number format"),
    "a shape larger than its bytes": ({"a": entry(shape=(3,))}, b"x" * 8, None, "takes 12"),
    "a shape that is enormous": ({"a": entry(shape=(2**62, 2**62))}, b"x" * 8, None, "but its shape"),
    "a negative dimension": ({"a": entry(shape=(-2,))}, b"x" * 8, None, "whole numbers"),
    "a dimension in words": ({"a": entry(shape=("two",))}, b"x" * 8, None, "whole numbers"),
    "offsets the wrong way round": ({"a": entry(start=8, stop=0)}, b"x" * 8, None, "0 bytes"),
    "one offset": ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0]}}, b"x" * 8, None, "whole numbers"),
    "an entry that is a number": ({"a": 3}, b"", None, "in a way"),
    "overlapping ranges": ({"a": entry(), "b": entry(start=4, stop=12)}, b"x" * 12, None, "overlap"),
    "the same range twice": ({"a": entry(), "b": entry()}, b"x" * 8, None, "overlap"),
    "a hole between": ({"a": entry(), "b": entry(start=12, stop=20)}, b"x" * 20, None, "hole between a and b"),
    "a hole before": ({"a": entry(start=4, stop=12)}, b"x" * 12, None, "hole before"),
    "metadata that are numbers": ({"__metadata__": {"n": 1}, "a": entry()}, b"x" * 8, None, "metadata"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_damaged_file_is_refused_by_name_as_the_library_refuses_it(tmp_path, fault):
    header, data, length, phrase = BAD[fault]
    path = write(tmp_path / "m.safetensors", header, data, length)
    assert not library_accepts(path)
    with pytest.raises(ModelError, match=r"sub/m\.safetensors") as caught:
        read_header(path, "sub/m.safetensors")
    assert phrase in str(caught.value)
    assert "again" in str(caught.value)


def test_a_tensor_named_twice_is_refused(tmp_path):
    one = json.dumps(entry())
    path = write(tmp_path / "m.safetensors", f'{{"a": {one}, "a": {one}}}'.encode(), b"x" * 8)
    with pytest.raises(ModelError, match="names the tensor a twice"):
        read_header(path, "m.safetensors")


def test_a_header_above_the_limit_is_not_read(tmp_path):
    path = tmp_path / "m.safetensors"
    with path.open("wb") as file:  # sparse: takes no room on disk
        file.write(struct.pack("<Q", LIMIT + 1))
        file.truncate(LIMIT + 100)
    with pytest.raises(ModelError, match="has a header of"):
        read_header(str(path), "m.safetensors")


def test_missing_short_and_special_files_are_refused(tmp_path):
    with pytest.raises(ModelError, match="gone is missing"):
        read_header(str(tmp_path / "gone"), "gone")
    (tmp_path / "short").write_bytes(b"1234567")
    with pytest.raises(ModelError, match="short is cut off"):
        read_header(str(tmp_path / "short"), "short")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ModelError, match="not a regular file"):
        read_header(str(tmp_path / "folder"), "folder")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="link to a file that does not exist"):
        read_header(str(tmp_path / "link"), "link")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_accepted_the_library_accepts_too(tmp_path, data):
    good = {"__metadata__": {"format": "pt"}, "a": entry(shape=(1, 2)), "b": entry("BF16", (3,), 8, 14)}
    text = bytearray(json.dumps(good).encode())
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.integers(0, len(text) - 1))
        text[place] = data.draw(st.sampled_from(b'0123456789-.,:{}[]" eabFUI\x00\xff'))
    path = write(tmp_path / "m.safetensors", bytes(text), b"x" * data.draw(st.sampled_from([14, 14, 13, 15])))
    try:
        read_header(path, "m.safetensors")
    except ModelError:
        return
    assert library_accepts(path)
