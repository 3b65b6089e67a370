"""The language in which a task asks: that of the text, or the user's choice."""

from __future__ import annotations

from typing import Any

from engine.requests.setting import setting
from engine.tasks.base import DocumentText

AUTO, ENGLISH, CHINESE = LANGUAGES = ("auto", "English", "Chinese")

_HEAD = 4000
"""Characters at the beginning that tell the language."""


def language_setting() -> Any:
    """Return the field of a task's settings that says in which language it asks."""
    return setting(
        AUTO, "Language of the prompt", "choice", "auto asks in Chinese about Chinese texts", choices=LANGUAGES
    )


def language_of(document: DocumentText, chosen: str) -> str:
    """Return the language to ask in: ``chosen``, or Chinese where a fifth of the text's characters are."""
    if chosen != AUTO:
        return chosen
    text = document.text[:_HEAD] if document.long is None else document.long.head(_HEAD)
    han = sum("\u4e00" <= character <= "\u9fff" for character in text)
    return CHINESE if 5 * han > len("".join(text.split())) else ENGLISH
