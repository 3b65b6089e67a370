"""Small tensors of a GGUF file as plain numbers, for configs; without torch."""

from __future__ import annotations

import struct

from engine.errors import ModelError
from engine.models.formats.gguf.header import unreadable
from engine.models.formats.gguf.parts import Files
from engine.models.regular import open_regular

MOST = 4096


def small_floats(files: Files, name: str) -> list[float]:
    """Return the numbers of a small float32 tensor; raises ModelError for any other."""
    tensor, path = files.tensors[name]
    if tensor.type.name != "F32" or tensor.elements > MOST:
        raise ModelError(f"{files.first.shown}: the tensor {name} is not a short list of numbers. Download it again.")
    try:
        with open_regular(path) as file:
            file.seek(tensor.start)
            return list(struct.unpack(f"<{tensor.elements}f", file.read(4 * tensor.elements)))
    except struct.error as error:
        raise ModelError(f"{files.first.shown} became shorter while it was read. Download it again.") from error
    except OSError as error:
        raise unreadable(files.first.shown, error) from error
