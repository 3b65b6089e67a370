"""The weights of a model folder: which safetensors files transformers will load, and every tensor in them."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import Any

from engine.errors import ModelError
from engine.models.json_file import LIMIT, read_object
from engine.models.other_formats import other_weights
from engine.models.safetensors_header import Tensor, read_header

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"

_EMBEDDINGS = tuple(
    f"{name}.weight"
    for name in ("word_embeddings", "embed_tokens", "tok_embeddings", "wte", "shared", "word_embedding")
)
_POSITIONS = ("position_embeddings.weight", "wpe.weight")
_FLOATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bf16"}


@dataclass(frozen=True, slots=True)
class Weights:
    """All tensors by name, the files that hold them (names inside the folder), and their size on disk in bytes."""

    tensors: dict[str, Tensor]
    files: tuple[str, ...]
    bytes: int

    @property
    def parameters(self) -> int:
        """Number of weights; integer buffers such as ``position_ids`` are none."""
        return sum(tensor.elements for tensor in self.tensors.values() if tensor.dtype.startswith(("F", "BF")))

    @property
    def dtype(self) -> str:
        """Number format that most weights have on disk."""
        counts: Counter[str] = Counter()
        for tensor in self.tensors.values():
            if tensor.dtype.startswith(("F", "BF")):
                counts[tensor.dtype] += tensor.elements
        return _FLOATS.get(counts.most_common(1)[0][0], counts.most_common(1)[0][0].lower()) if counts else ""

    @property
    def unusual(self) -> str:
        """Name of a tensor whose numbers are those of quantised weights; empty if there is none.

        These are floats of fewer than 16 bits, and tables of whole numbers that are called weights.
        """
        return next((name for name, tensor in self.tensors.items() if _quantised(name, tensor)), "")

    def embedding(self) -> Tensor | None:
        """Return the table of token vectors, ``[vocabulary, width]``."""
        return self._matrix(_EMBEDDINGS)

    def positions(self) -> Tensor | None:
        """Return the table of position vectors, ``[positions, width]``; none where positions are computed."""
        return self._matrix(_POSITIONS)

    def _matrix(self, endings: tuple[str, ...]) -> Tensor | None:
        for ending in endings:
            for name, tensor in self.tensors.items():
                if (name == ending or name.endswith(f".{ending}")) and len(tensor.shape) == 2:
                    return tensor
        return None


def _quantised(name: str, tensor: Tensor) -> bool:
    if tensor.dtype.startswith(("F4", "F6", "F8")):
        return True
    whole = not tensor.dtype.startswith(("F", "BF", "C", "BOOL"))
    return whole and len(tensor.shape) > 1 and name.endswith((".weight", ".qweight", ".weight_packed"))


def find_weights(folder: str, shown: str = "") -> Weights:
    """Return the weights that transformers loads from ``folder``: ``model.safetensors``, else what the index lists.

    ``shown`` goes before file names in messages. Raises ModelError when there are none, when they come only in formats
    that can run code, or when a file is missing or damaged or the index does not match.
    """
    if os.path.lexists(os.path.join(folder, SINGLE)):
        header = read_header(os.path.join(folder, SINGLE), shown + SINGLE)
        weights = Weights(header.tensors, (SINGLE,), header.bytes)
    elif os.path.lexists(os.path.join(folder, INDEX)):
        weights = _sharded(folder, shown)
    else:
        raise _no_weights(folder, shown)
    if not weights.parameters:
        raise ModelError(f"{shown}{weights.files[0]} holds no weights. Download it again.")
    return weights


def inside(name: Any) -> bool:
    """Return whether ``name`` is a relative path that stays in its folder, by the rules of any system.

    Hidden and deep places are refused too, because ``links`` does not look there.
    """
    if not isinstance(name, str) or "\0" in name:
        return False
    parts = name.replace("\\", "/").removesuffix("/").split("/")
    return len(parts) <= 3 and ":" not in parts[0] and all(part and not part.startswith(".") for part in parts)


def _sharded(folder: str, shown: str) -> Weights:
    index = shown + INDEX
    table = read_object(os.path.join(folder, INDEX), index, limit=3 * LIMIT).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise ModelError(f"{index} has no weight_map that says where the tensors are. Download it again.")
    shards: dict[str, list[str]] = {}
    for name, shard in table.items():
        if not inside(shard):
            raise ModelError(
                f"{index} sends the tensor {name} outside the folder, to {shard!r}. Do not use this model."
            )
        if not shard.endswith(".safetensors"):
            raise ModelError(f"{index} sends the tensor {name} to {shard}, which is not a safetensors file.")
        shards.setdefault(shard, []).append(name)
    tensors: dict[str, Tensor] = {}
    home: dict[str, str] = {}
    size = 0
    for shard, names in sorted(shards.items()):
        if not os.path.lexists(os.path.join(folder, shard)):
            raise ModelError(f"{shown}{shard} is missing, although {INDEX} lists it. Download the missing part.")
        header = read_header(os.path.join(folder, shard), shown + shard)
        lost = next((name for name in names if name not in header.tensors), None)
        if lost is not None:
            raise ModelError(f"{index} names the tensor {lost}, but {shard} does not hold it. Download both again.")
        for name, tensor in header.tensors.items():
            if name in tensors:
                raise ModelError(f"The tensor {name} is in {home[name]} and in {shard}. Download the model again.")
            tensors[name], home[name] = tensor, shard
        size += header.bytes
    return Weights(tensors, tuple(sorted(shards)), size)


def _no_weights(folder: str, shown: str) -> ModelError:
    names = sorted(os.listdir(folder))
    other = [name for name in names if name.endswith(".safetensors") and not name.startswith("adapter")]
    if other:
        return ModelError(
            f"{shown}{SINGLE} is missing; there is {other[0]}, which is not the model's main file. "
            f"Download {SINGLE}, or rename the file if it is the whole model."
        )
    if beside := other_weights(folder, shown):
        return ModelError(beside)
    return ModelError(f"{shown}{SINGLE} is missing. Download the model again, or choose the folder that holds it.")
