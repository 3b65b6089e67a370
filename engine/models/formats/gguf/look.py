"""A GGUF file looked at without loading: its config, its weights by transformers' names, and what is to be said of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.errors import ModelError
from engine.models.formats.gguf.architectures import architecture
from engine.models.formats.gguf.parts import Files, read_files
from engine.models.formats.gguf.vocabulary import check_vocabulary, ends
from engine.models.safetensors_header import Tensor
from engine.models.weights import Weights


@dataclass(frozen=True, slots=True)
class Look:
    """What a file holds: ``types`` are its block types, most numbers first; ``warnings`` do not forbid loading."""

    config: dict[str, Any]
    weights: Weights
    types: str
    name: str
    licence: str
    warnings: tuple[str, ...]


def look_at(path: str) -> Look:
    """Return what the model holds that ``path`` is a file of; raises ModelError, naming the file, for what cannot be read."""
    files = read_files(path)
    family = architecture(files.first)
    config = make_config(files)
    tensors: dict[str, Tensor] = {}
    for name, (tensor, _) in files.tensors.items():
        ours = family.weight(name, files.first.shown)
        heads = family.undone(name, config).heads
        if heads and tensor.shape[0] % (2 * heads):
            raise ModelError(f"{files.first.shown}: the tensor {name} does not fit {heads} heads. Download it again.")
        if ours is not None:
            # In memory all become floats, whatever they are in the file.
            tensors[ours] = Tensor("F32", tensor.shape, 0, 4 * tensor.elements)
    warnings = check_vocabulary(files)
    shown = tuple(path.replace("\\", "/").rsplit("/", 1)[-1] for path in files.paths)
    return Look(
        config,
        Weights(tensors, shown, files.bytes),
        files.first.types(),
        files.first.text("general.name")[:100],
        files.first.text("general.license"),
        warnings,
    )


def make_config(files: Files) -> dict[str, Any]:
    """Return the transformers config of a model, with the tokens that end an answer; raises ModelError."""
    config = architecture(files.first).make_config(files)
    for ours, theirs in (("bos", "bos"), ("pad", "padding")):
        number = files.first.values.get(f"tokenizer.ggml.{theirs}_token_id")
        config[f"{ours}_token_id"] = number if type(number) is int and 0 <= number < config["vocab_size"] else None
    config["eos_token_id"] = [n for n in ends(files.first) if n < config["vocab_size"]] or None
    return config
