"""The tokenizer of a GGUF file: its own tokenizer.json where that lies beside the file, else built from the header's tables."""

from __future__ import annotations

import logging
import os
from typing import Any

from engine.errors import ModelError
from engine.models.formats.gguf.header import Header, Strings
from engine.models.formats.gguf.parts import Files
from engine.models.formats.gguf.pre_tokenizers import BEGINS, GPT2, IGNORE_MERGES, PRE_TOKENIZERS
from engine.models.formats.gguf.tokenizer_trial import try_tokenizer
from engine.models.formats.gguf.vocabulary import check_vocabulary, token_types

log = logging.getLogger(__name__)

LONGEST, CHARACTERS = 512, 32 << 20
"""Characters of the longest token of a SentencePiece vocabulary, and of all tokens of any; real ones have 60 and 2 million."""

_SPACE = "\u2581"

_MARKS = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}


def tokenizer_notes(files: Files) -> tuple[str, ...]:
    """Return what is to be said of the tokenizer of ``files`` after a trial; raises ModelError as ``read_tokenizer`` does."""
    return _tried(files)[2]


def read_tokenizer(files: Files) -> Any:
    """Return a transformers tokenizer for the model in ``files``.

    Raises ModelError where the header has none, or one that does not give back what it reads.
    """
    import transformers

    header = files.first
    backend, tokens, notes = _tried(files)
    for note in notes:
        log.warning("%s: %s", header.shown, note)
    marks: dict[str, str] = {}
    for mark, key in _MARKS.items():
        number = header.values.get(f"tokenizer.ggml.{key}_token_id")
        if type(number) is int and 0 <= number < len(tokens):
            marks[mark] = tokens[number]
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        clean_up_tokenization_spaces=False,
        model_max_length=header.whole(f"{header.text('general.architecture')}.context_length"),
        **marks,
    )
    template = header.text("tokenizer.chat_template")
    if template:
        made.chat_template = template
    return made


def _tried(files: Files) -> tuple[Any, list[str], tuple[str, ...]]:
    """Return the backend, the header's tokens, and what is to be said."""
    header = files.first
    check_vocabulary(files)
    tokens = header.strings("tokenizer.ggml.tokens")
    if (backend := _beside(header.path, tokens)) is not None:
        try:
            return backend, tokens, try_tokenizer(backend, header, tokens)
        except ModelError as error:
            log.warning("the tokenizer.json beside it is not used: %s", error)
    backend = _from_tables(header, tokens)
    return backend, tokens, try_tokenizer(backend, header, tokens)


def _beside(path: str, tokens: list[str]) -> Any | None:
    """Return the backend in a tokenizer.json beside the file where it has the same vocabulary, else None.

    Files of several models may lie in one folder.
    """
    import tokenizers

    place = os.path.join(os.path.dirname(path), "tokenizer.json")
    if not os.path.isfile(place):
        return None
    try:
        found = tokenizers.Tokenizer.from_file(place)
    except Exception as error:  # noqa: BLE001 - tokenizers raises plain Exception for what it cannot read
        log.warning("%s is not used: %s", place, error)
        return None
    theirs = found.get_vocab(with_added_tokens=True)
    spelled = sum(theirs.get(token) == number for number, token in enumerate(tokens))
    # Converters fill up the vocabulary with placeholders, and respell a few tokens.
    if spelled < 0.98 * len(theirs) or len(theirs) < 0.9 * len(tokens):
        log.warning("%s is of another model than %s, and not used", place, os.path.basename(path))
        return None
    return found


def _from_tables(header: Header, tokens: list[str]) -> Any:
    from tokenizers.processors import TemplateProcessing
    from transformers.integrations.gguf.gguf_tokenizer_mapping import convert_gguf_tokenizer

    kind, pre = header.text("tokenizer.ggml.model"), header.text("tokenizer.ggml.pre")
    tables: dict[str, Any] = {"tokenizer_type": kind, "tokens": tokens}
    if isinstance(header.values.get("tokenizer.ggml.scores"), list):
        tables["scores"] = header.values["tokenizer.ggml.scores"]
    if (types := token_types(header, tokens)) is not None:
        tables["token_type"] = types
    if (kind == "llama" and max(map(len, tokens)) > LONGEST) or sum(map(len, tokens)) > CHARACTERS:
        # transformers looks at every way of cutting each token in two.
        raise ModelError(f"{header.shown} is damaged: its vocabulary has tokens of endless text. Download it again.")
    if isinstance(header.values.get("tokenizer.ggml.merges"), Strings):
        tables["merges"] = header.strings("tokenizer.ggml.merges")
        if not all(merge.count(" ") == 1 for merge in tables["merges"]):
            raise ModelError(f"{header.shown}: a merge of its tokens is no pair. Download it again.")
    try:
        backend, _ = convert_gguf_tokenizer(header.text("general.architecture"), tables)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ModelError(f"No tokenizer can be built from {header.shown} ({error}). Download it again.") from error
    if backend.get_vocab_size() > len(tokens) or any(n >= len(tokens) for n in backend.get_vocab().values()):
        # transformers adds marks that the family has by rule, under numbers that mean something else here.
        raise ModelError(
            f"No tokenizer can be built from {header.shown}: its vocabulary is not that of its family. "
            "Download another version of it."
        )
    if kind == "gpt2":
        _cut_words(backend, pre)
    else:
        _mark_spaces(backend, bool(header.values.get("tokenizer.ggml.add_space_prefix", not _bare(header))))
    begins = header.values.get("tokenizer.ggml.add_bos_token", kind == "llama" or pre in BEGINS)
    first = header.values.get("tokenizer.ggml.bos_token_id")
    backend.post_processor = None
    if begins and type(first) is int and 0 <= first < len(tokens):
        mark = tokens[first]
        backend.post_processor = TemplateProcessing(single=[mark, "$A"], special_tokens=[(mark, first)])
    return backend


def _bare(header: Header) -> bool:
    """Return whether a family's texts begin as they are; others' begin with a space, where the file does not say."""
    return header.text("general.architecture").startswith("gemma")


def _mark_spaces(backend: Any, prefix: bool) -> None:
    """Write spaces as SentencePiece does; ``prefix``: one comes before every text, whether it begins with one or not.

    transformers leaves it out before a text that begins with a space; SentencePiece and llama.cpp do not.
    """
    from tokenizers import decoders, normalizers

    spaces = normalizers.Replace(" ", _SPACE)
    backend.normalizer = normalizers.Sequence([normalizers.Prepend(_SPACE), spaces]) if prefix else spaces
    backend.pre_tokenizer = None
    steps = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    backend.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if prefix else steps)


def _cut_words(backend: Any, pre: str) -> None:
    from tokenizers import Regex, pre_tokenizers

    splits = [pre_tokenizers.Split(Regex(pattern), behavior="isolated") for pattern in PRE_TOKENIZERS.get(pre, (GPT2,))]
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence([*splits, words])
    backend.model.ignore_merges = pre in IGNORE_MERGES
