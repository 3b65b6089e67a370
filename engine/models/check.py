"""A model folder looked at, and its tokenizer and template tried for a moment: what checking and loading go through."""

from __future__ import annotations

import dataclasses
import os

from engine.errors import ModelError
from engine.models.folder import GENERATING, look, require
from engine.models.formats.gguf.parts import is_gguf
from engine.models.pipeline import transformer_place
from engine.models.probe import needed, probe
from engine.models.tokenizer_files import check_tokenizer_files, look_at_template, mark_texts
from engine.protocol import ModelFacts


def check(folder: str) -> ModelFacts:
    """Return the facts of ``look``, with what the trial found among ``problems``; takes a fifth of a second and more."""
    facts = look(folder)
    if not facts.usable:
        return facts
    try:
        _try(facts, everything=True)
    except ModelError as error:
        return dataclasses.replace(facts, usable=False, problems=(str(error),), tasks=())
    return facts


def require_tried(folder: str) -> ModelFacts:
    """Return the facts of a folder that can be used, after what can hang or explode in it was tried elsewhere.

    Raises ModelError with the first problem if there is one.
    """
    facts = require(folder)
    try:
        _try(facts, everything=False)
    except ModelError as error:
        raise ModelError(f"{facts.name} cannot be used. {error} (Folder: {facts.folder})") from error
    return facts


def _try(facts: ModelFacts, *, everything: bool) -> None:
    if facts.source == "starter" or is_gguf(facts.folder):
        return
    sub = transformer_place(facts.folder)
    shown = f"{sub}/" if sub else ""
    place = os.path.join(facts.folder, sub) if sub else facts.folder
    config = check_tokenizer_files(place, shown)
    template = look_at_template(place, shown, config) if facts.kind in GENERATING else None
    path = os.path.join(place, "tokenizer.json")
    tokenizer = path if os.path.isfile(path) else ""
    if (everything and tokenizer) or needed(tokenizer, template):
        probe(shown, tokenizer, template, mark_texts(place, config))
