"""The tokenizer of a GGUF file is tried before its model is used, and the model's own tokenizer.json goes before it."""

from __future__ import annotations

import gguf_files
import pytest

from engine.errors import ModelError
from engine.models.check import check
from engine.models.formats.gguf.parts import read_files
from engine.models.formats.gguf.tokenizer import read_tokenizer
from engine.models.load_decoder import load_decoder

TEXT = "The thin error on a thinner theme"


def file_with(tmp_path, change=lambda _tokens: None, **values):
    """A tiny model's file whose tokens were changed."""
    model = gguf_files.tiny_model("llama")
    held = gguf_files.metadata(model, "llama") | values
    change(held["tokenizer.ggml.tokens"])
    return gguf_files.write(tmp_path / "tiny.gguf", held, gguf_files.tensors(model, "llama"))


def without(*bytes_):
    """A change that takes single bytes out of a vocabulary."""

    def change(tokens):
        for byte in bytes_:
            tokens[tokens.index(gguf_files.byte_tokens()[byte])] = f"[PAD{byte}]"

    return change


def tokens_of(path):
    return read_tokenizer(read_files(str(path)))(TEXT)["input_ids"]


def test_a_vocabulary_that_loses_digits_is_refused_by_the_check_and_at_load(tmp_path):
    path = file_with(tmp_path, without(ord("5")))
    facts = check(str(path))
    assert not facts.usable
    assert (
        "tiny.gguf: its tokenizer does not give back what it reads: '5 invoices of 2024-0' became" in facts.problems[0]
    )
    with pytest.raises(ModelError, match="does not give back"):
        load_decoder(str(path), dtype="float32")


def test_scripts_that_a_vocabulary_does_not_know_are_named(tmp_path):
    assert not check(str(file_with(tmp_path))).warnings
    facts = check(str(file_with(tmp_path, without(0xE0, *range(0xE3, 0xF0)))))
    assert facts.usable
    assert facts.warnings == (
        "The model's tokenizer does not know all characters of texts in: Hindi, Chinese, Japanese, Korean.",
    )


def test_the_models_own_tokenizer_json_beside_the_file_is_preferred(tmp_path):
    path = file_with(tmp_path)
    built = tokens_of(path)
    own = read_tokenizer(read_files(str(path)))._tokenizer
    own.model.dropout = 0.9999  # no merges, or next to none: another way of the same vocabulary
    own.save(str(tmp_path / "tokenizer.json"))
    assert len(tokens_of(path)) == len(TEXT) > len(built)


@pytest.mark.parametrize("kind", ["of another model", "without the marks", "damaged"])
def test_a_tokenizer_json_of_another_model_or_a_damaged_one_is_not_used(tmp_path, kind):
    path = file_with(tmp_path)
    built = tokens_of(path)
    beside = tmp_path / "tokenizer.json"
    text = read_tokenizer(read_files(str(path)))._tokenizer.to_str()
    if kind == "of another model":
        for letter in "abcdefgh":
            text = text.replace(f'"{letter}":', f'"{letter}{letter}":')
    elif kind == "without the marks":
        place = text.index('"added_tokens":')
        text = text[:place] + '"added_tokens":[]' + text[text.index("]", place) + 1 :]
    else:
        text = text[: len(text) // 2]
    beside.write_text(text)
    assert tokens_of(path) == built


def test_a_mark_that_was_written_as_text_ends_an_answer(tmp_path):
    types = [gguf_files.Typed(5, n.to_bytes(4, "little")) for n in [3, 3, 1] + [1] * (gguf_files.VOCABULARY - 3)]
    path = file_with(tmp_path, **{"tokenizer.ggml.token_type": types, "tokenizer.ggml.eos_token_id": 0})
    loaded = load_decoder(str(path), dtype="float32")
    assert loaded.model.config.eos_token_id == [0, 2]
    prompt = loaded.tokenizer.prompt_ids(loaded.tokenizer.conversation("", "a <|im_end|> b")).tolist()
    assert prompt.count(2) == 1  # the template's own; what a document spells stays text


def test_a_token_of_endless_text_is_refused_before_it_is_cut_in_every_way(tmp_path):
    def lengthen(tokens):
        tokens[300] = "a" * 1_000_000

    path = file_with(tmp_path, lengthen, **{"tokenizer.ggml.model": "llama"})
    assert check(str(path)).problems == (
        "tiny.gguf is damaged: its vocabulary has tokens of endless text. Download it again.",
    )
