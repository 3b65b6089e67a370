"""The tokenizer's tables in a GGUF header, looked at without building a tokenizer."""

from __future__ import annotations

from engine.errors import ModelError
from engine.models.formats.gguf.header import Header, Strings
from engine.models.formats.gguf.parts import Files
from engine.models.formats.gguf.pre_tokenizers import PRE_TOKENIZERS

KINDS = ("gpt2", "llama")
"""Kinds of tokenizers that are built: byte-level BPE, and SentencePiece's BPE."""

NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
"""Values of tokenizer.ggml.token_type: text, a mark, and a piece of text that is always one token."""

END_MARKS = frozenset(
    (
        "<|im_end|>",
        "<|eot_id|>",
        "<|eom_id|>",
        "<|end|>",
        "<|endoftext|>",
        "<end_of_turn>",
        "<|end_of_text|>",
        "</s>",
        "<eos>",
    )
)
"""Marks that end an answer in the families that are read; files name one or two of them, and templates write others.
llama.cpp keeps a list too (src/llama-vocab.cpp, special_eog_ids)."""

_ALSO_TEXT = frozenset(("</s>", "<eos>"))
"""Those that may be text where the file says so."""

_TOKENS = "tokenizer.ggml.tokens"


def check_vocabulary(files: Files) -> tuple[str, ...]:
    """Return what is to be said of the tokenizer; raises ModelError where none can be built from the header."""
    header = files.first
    kind, tokens = header.text("tokenizer.ggml.model"), header.values.get(_TOKENS)
    if not isinstance(tokens, Strings) or not tokens.count:
        raise ModelError(f"{header.shown} holds no tokenizer (tokenizer.ggml.tokens). Download another version of it.")
    if kind not in KINDS:
        raise ModelError(
            f"{header.shown} has a tokenizer of the kind {kind[:40]!r}, and {' and '.join(KINDS)} are read. "
            "Download the model's folder with safetensors."
        )
    for key, wanted in (("token_type", int), ("scores", float)):
        table = header.values.get(f"tokenizer.ggml.{key}")
        if table is None:
            continue
        if not isinstance(table, list) or len(table) != tokens.count or not all(type(n) is wanted for n in table):
            raise ModelError(f"{header.shown}: tokenizer.ggml.{key} does not fit the vocabulary. Download it again.")
    merges = isinstance(header.values.get("tokenizer.ggml.merges"), Strings)
    if kind == "gpt2" and not merges:
        raise ModelError(f"{header.shown} lists no merges of its tokens (tokenizer.ggml.merges). Download it again.")
    if kind == "llama" and not merges and "tokenizer.ggml.scores" not in header.values:
        raise ModelError(f"{header.shown} lists no scores of its tokens (tokenizer.ggml.scores). Download it again.")
    rows = files.tensors["token_embd.weight"][0].shape[0]
    if tokens.count > rows:
        raise ModelError(
            f"{header.shown} has {tokens.count:,} tokens, but vectors for {rows:,} only. Download it again."
        )
    warnings: list[str] = []
    pre = header.text("tokenizer.ggml.pre")
    if kind == "gpt2" and pre not in PRE_TOKENIZERS:
        warnings.append(
            f"The file cuts texts into words in a way that Heddle does not know (tokenizer.ggml.pre is {pre[:40]!r}): GPT-2's "
            "is taken, and answers may be worse. A tokenizer.json beside the file would be used instead."
        )
    if not header.text("tokenizer.chat_template"):
        warnings.append("The file has no chat template: prompts are given to the model as they are.")
    return tuple(warnings)


def token_types(header: Header, tokens: list[str]) -> list[int] | None:
    """Return the kind of every token, None where the file does not say it of all.

    Some converters wrote the marks that end a turn as ordinary text; llama.cpp takes them for marks all the same.
    """
    types = header.values.get("tokenizer.ggml.token_type")
    if not isinstance(types, list) or len(types) != len(tokens):
        return None
    marks = END_MARKS - _ALSO_TEXT
    return [
        CONTROL if kind == NORMAL and token in marks else int(kind) for token, kind in zip(tokens, types, strict=True)
    ]


def ends(header: Header) -> list[int]:
    """Return the tokens that end an answer: those that the header names, and the marks of its vocabulary known to."""
    named = [header.values.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom")]
    found = {number for number in named if type(number) is int and number >= 0}
    tokens = header.strings(_TOKENS)
    types = token_types(header, tokens) or ()
    found |= {n for n, kind in enumerate(types) if kind in (CONTROL, USER_DEFINED) and tokens[n] in END_MARKS}
    return sorted(found)
