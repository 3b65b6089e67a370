"""A model folder looked at, and its tokenizer and template tried for a moment: what checking and loading go through."""

from __future__ import annotations

import dataclasses
import os

from engine.api.facts import ModelFacts
from engine.errors import ModelError
from engine.models.folder import GENERATING, look, require
from engine.models.formats.gguf.parts import is_gguf, read_files
from engine.models.formats.gguf.source import tokenizer_notes
from engine.models.pipeline import transformer_place
from engine.models.probe import needed, probe
from engine.models.supplied import supplied
from engine.models.templates import Template, check_template
from engine.models.tokenizer_files import check_tokenizer_files, look_at_template, mark_texts


def check(folder: str) -> ModelFacts:
    """Return the facts of ``look``, with what the trial found among ``problems`` and ``warnings``.

    Takes a fifth of a second and more; of a GGUF file, whose tokenizer has to be built, some seconds.
    """
    facts = look(folder)
    if not facts.usable:
        return facts
    try:
        _try(facts, everything=True)
        if is_gguf(facts.folder) and not supplied(facts.source):
            notes = tokenizer_notes(facts.folder)
            facts = dataclasses.replace(facts, warnings=(*facts.warnings, *notes))
    except ModelError as error:
        return dataclasses.replace(facts, usable=False, problems=(str(error),), capabilities=())
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
    if supplied(facts.source):
        return
    if is_gguf(facts.folder):
        _try_gguf(facts.folder)
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


def _try_gguf(path: str) -> None:
    """Try the template in a GGUF file, and a tokenizer.json beside it, which takes the place of the file's own."""
    header = read_files(path).first
    text = header.text("tokenizer.chat_template")
    template = Template(text, header.shown) if text else None
    if template is not None:
        check_template(template)
    beside = os.path.join(os.path.dirname(path), "tokenizer.json")
    tokenizer = beside if os.path.isfile(beside) and needed(beside, None) else ""
    if not tokenizer and template is None:
        return
    tokens = header.strings("tokenizer.ggml.tokens")
    marks = {name: header.values.get(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos")}
    given = {f"{name}_token": tokens[n] for name, n in marks.items() if type(n) is int and 0 <= n < len(tokens)}
    probe("", tokenizer, template, given)
