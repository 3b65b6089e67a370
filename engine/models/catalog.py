"""The models that can be chosen: the starter, recent ones, those in chosen folders, and the Hugging Face cache."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator

from engine.api.facts import ModelFacts
from engine.errors import Cancelled, ModelError
from engine.models.cache import CACHED, folders_in, newest_snapshot
from engine.models.folder import MARKERS, look
from engine.models.formats.gguf.parts import first_files, is_gguf
from engine.models.formats.gguf.places import ollama_files, other_folders
from engine.models.json_file import read_json
from engine.models.place import model_place
from engine.models.supplied import SUPPLIED, supplied

DEPTH = 3
"""How many folders below a chosen one are searched."""

FOLDERS = 5_000
"""How many folders below a chosen one are opened; beyond that somebody chose a whole disk."""

MODELS = 500
"""How many models are listed at most."""


def list_models(
    folders: Iterable[str] = (), recent: Iterable[str] = (), *, cancelled: Callable[[], bool] = lambda: False
) -> tuple[ModelFacts, ...]:
    """Return the models that can be chosen, each real place once, in this order.

    Those that came with Heddle, ``recent``, ``folders``, the cache, and what LM Studio, Jan, llama.cpp and Ollama keep.

    Models that cannot be used are listed with their problems; folders without config.json, modules.json or GGUF files
    are not. ``folders`` may be models themselves or hold models up to three folders below. Raises Cancelled soon after
    ``cancelled`` answers true.
    """
    models: list[ModelFacts] = []
    seen: set[str] = set()
    for folder, source, name in _places(folders, recent, cancelled):
        if cancelled():
            raise Cancelled("The search for models was stopped.")
        real = os.path.realpath(model_place(folder)) if folder else source
        if len(models) >= MODELS:
            break
        if real not in seen:
            seen.add(real)
            facts = look(folder) if folder else _missing(source)
            models.append(
                facts if supplied(facts.source) else dataclasses.replace(facts, source=source, name=name or facts.name)
            )
    return tuple(models)


def cache_folder() -> str:
    """Return the folder of the Hugging Face cache by the environment variables that huggingface_hub reads."""
    home = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache"), "huggingface")
    home = os.environ.get("HF_HOME") or home
    hub = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or os.path.join(home, "hub")
    return os.path.expandvars(os.path.expanduser(hub))


def cached_models(hub: str) -> Iterator[str]:
    """Yield the newest snapshot folder of every model in a Hugging Face cache that has files we know, by name."""
    for name in sorted(folders_in(hub), key=str.casefold):
        if name.startswith(CACHED):
            snapshot = newest_snapshot(os.path.join(hub, name))
            if snapshot and any(_models_in(snapshot)):
                yield snapshot


def _places(
    folders: Iterable[str], recent: Iterable[str], cancelled: Callable[[], bool]
) -> Iterator[tuple[str, str, str]]:
    """Yield place, source and (where it is not the place's own) name of every candidate; an empty folder stands for a supplied one that is not installed."""
    for ours in SUPPLIED:
        try:
            yield ours.place(), ours.name, ""
        except ModelError:
            yield "", ours.name, ""
    for folder in recent:
        if _is_model(folder) or is_gguf(folder):
            yield folder, "recent", ""
    for folder in folders:
        for model in _below(folder, cancelled):
            yield model, "folder", ""
    for folder in cached_models(cache_folder()):
        for model in _models_in(folder):
            yield model, "cache", ""
    for folder, program in other_folders():
        for model in _below(folder, cancelled):
            yield model, program, ""
    for model, name in ollama_files():
        yield model, "Ollama", name


def _missing(name: str) -> ModelFacts:
    """Return the facts of a model that should have come with Heddle and is not there."""
    ours = next(each for each in SUPPLIED if each.name == name)
    try:
        return look(ours.place())
    except ModelError as error:
        return ModelFacts("", ours.label, usable=False, problems=(str(error),), source=name)


def _below(top: str, cancelled: Callable[[], bool]) -> Iterator[str]:
    """Yield ``top`` if it is a model, else the models below it, nearest first; hidden folders are passed over."""
    if is_gguf(top):
        yield top
        return
    waiting = [(top, 0)]
    opened: set[str] = set()
    for folder, depth in waiting:  # grows while it is walked: breadth first
        if cancelled():
            raise Cancelled("The search for models was stopped.")
        real = os.path.realpath(folder)
        if real in opened:
            continue
        opened.add(real)
        if os.path.basename(folder).startswith(CACHED) and (snapshot := newest_snapshot(folder)):
            yield from _models_in(snapshot)
            continue
        files = first_files(folder)
        yield from files
        if _is_model(folder) and (depth == 0 or _looks_like_model(folder)) and not (files and _bare(folder)):
            yield folder
        elif depth < DEPTH:
            names = sorted((n for n in folders_in(folder) if not n.startswith(".")), key=str.casefold)
            waiting += [(os.path.join(folder, name), depth + 1) for name in names[: max(0, FOLDERS - len(waiting))]]


def _models_in(snapshot: str) -> Iterator[str]:
    """Yield the models in a cached repository: the folder, and GGUF files in it or, one folder for each size, below it."""
    places = [snapshot, *(os.path.join(snapshot, name) for name in sorted(folders_in(snapshot), key=str.casefold))]
    files = [file for place in places for file in first_files(place)]
    if _is_model(snapshot) and not (files and _bare(snapshot)):
        yield snapshot
    yield from files


def _bare(folder: str) -> bool:
    """Return whether a folder has no weights but those in GGUF files, which often have their model's config.json beside them."""
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    return "modules.json" not in names and not any(name.endswith((".safetensors", ".bin", ".pt")) for name in names)


def _is_model(folder: str) -> bool:
    return any(os.path.isfile(os.path.join(folder, name)) for name in MARKERS)


def _looks_like_model(folder: str) -> bool:
    """Tell a model from the many other programs that keep a config.json: it has weights beside it, or a model_type."""
    try:
        names = os.listdir(folder)
        if "modules.json" in names or any(name.endswith((".safetensors", ".bin", ".gguf", ".pt")) for name in names):
            return True
        config = read_json(os.path.join(folder, "config.json"), "config.json")
    except (OSError, ModelError):
        return False
    return isinstance(config, dict) and ("model_type" in config or "architectures" in config)
