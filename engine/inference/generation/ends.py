"""What ends an answer: configurations, tokenizer and chat template each name it, and fine-tunes let them disagree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_ANSWER = "an answer of seven words about nothing"
"""Stands in the rendered conversation where a model's answer stands; no template writes it by itself."""

_MARK = re.compile(r"<[^\s<>]{1,60}>|\[/?[A-Z_]{2,40}\]")
"""What control marks look like that are no token of their own: ``<|im_end|>``, ``</s>``, ``[/INST]``."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Tokens that end an answer, and texts that do, for marks that are no token of the model's."""

    tokens: frozenset[int] = frozenset()
    texts: tuple[str, ...] = ()


def ends_of(model: Any, tokenizer: Any = None) -> Ends:
    """Return all that ends an answer of ``model``: any of what the generation config, the config, the tokenizer name, and
    what the chat template writes behind an answer.

    ``tokenizer`` is one of transformers'; without it the configurations alone speak.
    """
    config = model.config
    sources = [getattr(model, "generation_config", None), config, config.get_text_config(decoder=True)]
    tokens = {token for source in sources for token in _numbers(getattr(source, "eos_token_id", None))}
    if tokenizer is None:
        return Ends(frozenset(tokens))
    eos, unknown = getattr(tokenizer, "eos_token_id", None), getattr(tokenizer, "unk_token_id", None)
    if eos is not None and (eos != unknown or tokenizer.eos_token == tokenizer.unk_token):
        tokens.add(int(eos))
    mark = _behind_an_answer(tokenizer)
    number = _number(tokenizer, mark)
    if number is None:
        return Ends(frozenset(tokens), (mark,) if mark else ())
    return Ends(frozenset({*tokens, number}))


def _numbers(value: Any) -> list[int]:
    if isinstance(value, Sequence):
        return [int(token) for token in value if isinstance(token, int)]
    return [value] if isinstance(value, int) else []


def _behind_an_answer(tokenizer: Any) -> str:
    """Return the mark that the template writes behind an answer; empty where there is none.

    Templates that close no turn (GLM) begin the next one with a mark, which says as much.
    """
    if not getattr(tokenizer, "chat_template", None):
        return ""
    dialogue = [("user", "A question."), ("assistant", _ANSWER)]
    for turns in (dialogue, [*dialogue, ("user", "Another question.")]):
        behind = _rendered(tokenizer, turns).rpartition(_ANSWER)[2].lstrip()
        marks = [token.content for token in tokenizer.added_tokens_decoder.values()]
        known = max((m for m in marks if m and not m[0].isalnum() and behind.startswith(m)), key=len, default="")
        found = _MARK.match(behind)
        if known or found:
            return known or (found[0] if found else "")
    return ""


def _rendered(tokenizer: Any, turns: list[tuple[str, str]]) -> str:
    """Return the conversation as the template writes it; empty where it refuses."""
    texts = [{"role": role, "content": text} for role, text in turns]
    parts = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in turns]
    for messages in (texts, parts):
        try:
            text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False)
        except Exception:  # noqa: BLE001, S112 - a template is a program of somebody else's and may raise anything
            continue
        if _ANSWER in text:
            return text
    return ""


def _number(tokenizer: Any, mark: str) -> int | None:
    """Return the token that ``mark`` is; None where it is several, or nothing."""
    if not mark:
        return None
    number = tokenizer.convert_tokens_to_ids(mark)
    unknown = getattr(tokenizer, "unk_token_id", None)
    if number is None or (number == unknown and mark != tokenizer.unk_token):
        return None
    return int(number)
