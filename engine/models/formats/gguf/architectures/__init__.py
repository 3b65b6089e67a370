"""The families of models that GGUF files are read of, one file a family. Adding one is adding a file and its name here."""

from __future__ import annotations

from engine.errors import ModelError
from engine.models.formats.gguf.architectures import gemma, llama, phi, qwen
from engine.models.formats.gguf.architectures.architecture import Architecture
from engine.models.formats.gguf.header import Header

ARCHITECTURES = {
    each.name: each for each in (llama.LLAMA, qwen.QWEN2, qwen.QWEN3, gemma.GEMMA2, gemma.GEMMA3, phi.PHI3)
}
"""By the name that files say as ``general.architecture``; Mistral's files say llama."""


def architecture(header: Header) -> Architecture:
    """Return the family of a file's model; raises ModelError, with its name, for one that is not read."""
    name = header.text("general.architecture")
    if header.text("general.type") not in ("", "model"):
        raise ModelError(
            f"{header.shown} is no model but a part of one ({header.text('general.type')[:40]}). Choose the model's own file."
        )
    found = ARCHITECTURES.get(name)
    if found is None:
        raise ModelError(
            f"{header.shown} holds a model of the family {name[:60] or 'unknown'}, and GGUF files are read of "
            f"{', '.join(ARCHITECTURES)} (and Mistral). Download the model's folder with safetensors, or choose another model."
        )
    return found
