"""A tokenizer tried on a fixed text before its model is used: what it reads has to come back, and marks have to be one token."""

from __future__ import annotations

from typing import Any

from engine.errors import ModelError
from engine.models.formats.gguf.header import Header
from engine.models.formats.gguf.vocabulary import CONTROL, END_MARKS, token_types

PLAIN = (
    "The 12,345 invoices of 2024-05-31 aren't OK: 3.50 + 7 = 10.5!?\n\n"
    "def total(rows):\n\treturn sum(row['price'] * 1.19 for row in rows)  # $, %, & and ~\n"
    '{"id": 7, "tags": ["a_b", "c-d"], "path": "C:\\\\x\\\\y"}   <p>end</p>'
)
"""English, digits, code and runs of white space: a vocabulary that loses any of it is of no use."""

SCRIPTS = {
    "French and German": "Où est le cœur ? Straße, Äpfel, «naïveté».",
    "Polish and Turkish": "Zażółć gęślą jaźń, İstanbul'da ağaç.",
    "Greek": "Το χέρι γράφει.",
    "Russian": "Съешь ещё этих булок.",
    "Arabic": "اللغة العربية جميلة.",
    "Hebrew": "שלום עולם.",
    "Hindi": "नमस्ते दुनिया।",
    "Chinese": "今天天气很好。",
    "Japanese": "日本語のテキストです。",
    "Korean": "안녕하세요 세계.",
    "emoji": "Well done 👍🏽 👩‍💻 🎉",
}
"""A sentence of each; old vocabularies without bytes do not know all of them."""


def try_tokenizer(backend: Any, header: Header, tokens: list[str]) -> tuple[str, ...]:
    """Return what is to be said of a tokenizer (``tokenizers.Tokenizer``) built for the model of ``header``.

    Raises ModelError where English, digits or code do not come back as they were, or a mark is not one token.
    """

    def back(text: str) -> str:
        ids = backend.encode(text, add_special_tokens=False).ids
        return backend.decode(ids, skip_special_tokens=False)

    if (found := back(PLAIN)) != PLAIN:
        place = next((n for n, (a, b) in enumerate(zip(PLAIN, found, strict=False)) if a != b), len(found))
        raise ModelError(
            f"{header.shown}: its tokenizer does not give back what it reads: {PLAIN[place : place + 20]!r} became "
            f"{found[place : place + 20]!r}. Download another version of the model."
        )
    for number, mark in _marks(header, tokens):
        if (ids := backend.encode(mark, add_special_tokens=False).ids) != [number]:
            raise ModelError(
                f"{header.shown}: its tokenizer reads the mark {mark} as {len(ids)} tokens, and the model was trained on "
                "one. Download another version of the model."
            )
    lost = [name for name, text in SCRIPTS.items() if back(text) != text]
    if not lost:
        return ()
    return (f"The model's tokenizer does not know all characters of texts in: {', '.join(lost)}.",)


def _marks(header: Header, tokens: list[str]) -> list[tuple[int, str]]:
    """Return the marks that begin and end texts and turns, with their numbers."""
    types = token_types(header, tokens) or []
    named = [header.values.get(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos", "eot")]
    return [
        (number, token)
        for number, token in enumerate(tokens[: len(types)])
        if types[number] == CONTROL and (number in named or token in END_MARKS)
    ]
