"""What the loader takes from a GGUF file: the tokenizer, and class, config and late weights of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.models.formats.gguf.parts import read_files

if TYPE_CHECKING:
    import torch


def tokenizer_of(path: str) -> Any:
    """Return a transformers tokenizer for the model that ``path`` is a file of; raises ModelError."""
    from engine.models.formats.gguf.tokenizer import read_tokenizer

    return read_tokenizer(read_files(path))


def tokenizer_notes(path: str) -> tuple[str, ...]:
    """Return what a trial of the tokenizer of ``path`` found to be said; raises ModelError where it is of no use."""
    from engine.models.formats.gguf.tokenizer import tokenizer_notes

    return tokenizer_notes(read_files(path))


def model_of(path: str, dtype: torch.dtype) -> tuple[Any, Any, dict[str, Any]]:
    """Return transformers' class, the config, and tensors by name that become ``dtype`` when they are read.

    Raises ModelError for what cannot be read.
    """
    import transformers

    from engine.models.formats.gguf.architectures import architecture
    from engine.models.formats.gguf.look import make_config
    from engine.models.formats.gguf.tensors import late_tensors

    files = read_files(path)
    family = architecture(files.first)
    values = make_config(files)
    config = transformers.AutoConfig.for_model(**values)
    return getattr(transformers, family.model_class), config, dict(late_tensors(files, family, values, dtype))
