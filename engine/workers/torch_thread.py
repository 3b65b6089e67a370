"""What torch needs of a worker's thread."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def torch_thread(threads: int) -> Iterator[None]:
    """Let the calling thread compute with ``threads`` intra-op threads and without gradients, for a block."""
    # The setting is per thread, and leaks into threads born later: set it before anything else (law 3).
    torch.set_num_threads(threads)
    with torch.inference_mode():
        yield
