"""A tensor of many pieces is read side by side, and is what it is on one thread."""

from __future__ import annotations

import os

import gguf_files
import numpy as np
import pytest
import torch

from engine.errors import ModelError
from engine.models.formats.gguf.architectures.architecture import Change
from engine.models.formats.gguf.header import read_header
from engine.models.formats.gguf.tensors import PIECE, LateTensor


@pytest.fixture
def _threads():
    """Torch's threads as they were."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_threads", "no_threads_left")
def test_a_tensor_of_many_pieces_is_the_same_on_one_thread_and_on_several(tmp_path):
    rows = 2 * PIECE // 256 + 3
    values = np.random.default_rng(0).standard_normal((rows, 256), np.float32)
    path = str(gguf_files.write(tmp_path / "a.gguf", {}, {"t": gguf_files.stored(values, gguf_files.Q8_0)}))
    late = LateTensor(read_header(path, "a.gguf").tensors["t"], path, Change(), torch.bfloat16)
    read = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        read.append(late[...])
        assert torch.get_num_threads() == threads
    assert torch.equal(*read)
    assert read[0].shape == (rows, 256)
    assert float((read[0].float() - torch.from_numpy(values)).abs().max()) < 0.05
    os.truncate(path, os.path.getsize(path) - 300)
    with pytest.raises(ModelError, match="became shorter"):
        late[...]
    assert torch.get_num_threads() == 3
