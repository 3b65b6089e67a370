"""Where other programs on this machine keep their GGUF files: LM Studio, Jan, llama.cpp and Ollama. Nothing is changed there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from engine.errors import ModelError
from engine.models.json_file import read_object

MANIFESTS = 500
"""Manifests of Ollama that are read at most."""

_MODEL = "application/vnd.ollama.image.model"


def other_folders() -> list[tuple[str, str]]:
    """Return the folders that LM Studio, Jan and llama.cpp keep models in, where they are there, with the program's name.

    LM Studio and Jan let their user choose another folder, and keep that in their settings.
    """
    home = os.path.expanduser("~")
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    data = os.environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    if sys.platform == "darwin":
        cache = os.path.join(home, "Library", "Caches")
        data = config = os.path.join(home, "Library", "Application Support")
    elif sys.platform == "win32":
        cache = os.environ.get("LOCALAPPDATA", home)
        data = config = os.environ.get("APPDATA", home)
    studio = os.path.join(home, ".lmstudio")
    known = [
        (_chosen(os.path.join(studio, "settings.json"), "downloadsFolder"), "LM Studio"),
        (os.path.join(studio, "models"), "LM Studio"),
        (os.path.join(home, ".cache", "lm-studio", "models"), "LM Studio"),
    ]
    # Jan's own place has moved from one version to the next.
    places = [_chosen(os.path.join(base, "Jan", "settings.json"), "data_folder") for base in (data, config)]
    places += [os.path.join(base, "Jan", "data") for base in (data, config)]
    for place in [*filter(None, places), os.path.join(home, "jan")]:
        known += [(os.path.join(place, "llamacpp", "models"), "Jan"), (os.path.join(place, "models"), "Jan")]
    known.append((os.environ.get("LLAMA_CACHE") or os.path.join(cache, "llama.cpp"), "llama.cpp"))
    return [(folder, program) for folder, program in dict.fromkeys(known) if folder and os.path.isdir(folder)]


def _chosen(settings: str, key: str) -> str:
    """Return the folder that a program's settings name, empty where they name none."""
    if not os.path.isfile(settings):
        return ""
    try:
        folder = read_object(settings, os.path.basename(settings)).get(key)
    except (ModelError, OSError):
        return ""
    return folder if isinstance(folder, str) and os.path.isabs(folder) else ""


def ollama_files() -> Iterator[tuple[str, str]]:
    """Yield the file of every model that Ollama has, a blob without an ending, with the name that Ollama gives it."""
    own = os.path.join(os.path.expanduser("~"), ".ollama", "models")
    service = os.path.join(os.sep, "usr", "share", "ollama", ".ollama", "models")
    chosen = os.environ.get("OLLAMA_MODELS")
    for root in [chosen] if chosen else [own, service]:
        for number, (manifest, name) in enumerate(_manifests(os.path.join(root, "manifests"))):
            if number >= MANIFESTS:
                return
            blob = _blob(manifest)
            path = os.path.join(root, "blobs", blob)
            if blob and os.path.isfile(path):
                yield path, name


def _manifests(root: str) -> Iterator[tuple[str, str]]:
    """Yield manifests, in folders by host, owner, model and tag, and their names: ``model:tag``, or ``owner/model:tag``."""
    for folder, folders, files in os.walk(root):
        below = os.path.relpath(folder, root)
        parts = [] if below == "." else below.split(os.sep)
        folders[:] = sorted(folders) if len(parts) < 3 else []
        if len(parts) == 3:
            owner = "" if parts[1] == "library" else f"{parts[1]}/"
            yield from ((os.path.join(folder, tag), f"{owner}{parts[2]}:{tag}") for tag in sorted(files))


def _blob(manifest: str) -> str:
    """Return the name of the blob with the weights, empty where the manifest names none."""
    try:
        layers = read_object(manifest, os.path.basename(manifest)).get("layers")
    except (ModelError, OSError):
        return ""
    for layer in layers if isinstance(layers, list) else ():
        if isinstance(layer, dict) and layer.get("mediaType") == _MODEL:
            kind, _, digest = str(layer.get("digest")).partition(":")
            return f"{kind}-{digest}" if kind == "sha256" and digest.isalnum() else ""
    return ""
