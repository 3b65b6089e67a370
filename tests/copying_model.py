"""A text generator that provably returns the key written in its prompt: a GPT-2 of one layer with weights set by hand.

A key is a word per place, "a3 b0 c7 e3", closed by the word that ends it at that place. Each token asks the attention for
the token of the next place, of which a prompt has exactly one, and the value that comes back is that token. So the answer
is right only if every query sees the keys and values of its own sequence: a neighbour's would return the neighbour's key.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

PLACES = 8
"""Words that a key has at most."""

DIGITS = 10
FILLERS = 64
"""Other words, which say nothing."""

LETTERS = "abcdefgh"
POSITIONS = 1024

KEY = [f"{LETTERS[place]}{digit}" for place in range(PLACES) for digit in range(DIGITS)]
ENDS = [f"e{place}." for place in range(PLACES + 1)]
WORDS = ["<end>", "?", *KEY, *ENDS, *(f"w{n}" for n in range(FILLERS))]
"""The vocabulary; "?" asks for the first place."""

_GROUPS = PLACES + 1
_OUT = len(KEY) + 1
_NEXT, _OWN, _NAME, _SAID = 0, _GROUPS, 2 * _GROUPS, 2 * _GROUPS + _OUT
"""Where in the hidden numbers it says: the place to look for, the own place, the own word, the word that was found."""

HIDDEN, HEADS = 192, 2
SHARPNESS = 3.0
"""Factor of queries and keys: the right token's score is some 50 above all others, so that its weight is 1."""


def make_model() -> Any:
    """Return the model in float32, in evaluation mode."""
    import torch
    import transformers

    config = transformers.GPT2Config(
        vocab_size=len(WORDS),
        n_embd=HIDDEN,
        n_layer=1,
        n_head=HEADS,
        n_inner=HIDDEN,
        n_positions=POSITIONS,
        bos_token_id=None,
        eos_token_id=0,
        tie_word_embeddings=False,
    )
    model = transformers.GPT2LMHeadModel(config).eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        weight.fill_(1.0 if ".ln_" in name and name.endswith("weight") else 0.0)
    body, block = model.transformer, model.transformer.h[0]
    embedding = body.wte.weight
    embedding[WORDS.index("?"), _NEXT] = 1
    for index, word in enumerate(KEY):
        token, place = WORDS.index(word), index // DIGITS
        embedding[token, _NEXT + place + 1] = 1
        embedding[token, _OWN + place] = 1
        embedding[token, _NAME + index] = 1
        model.lm_head.weight[token, _SAID + index] = 1
    for place, word in enumerate(ENDS):
        embedding[WORDS.index(word), _OWN + place] = 1
        embedding[WORDS.index(word), _NAME + _OUT - 1] = 1
    model.lm_head.weight[0, _SAID + _OUT - 1] = 1
    width = HIDDEN // HEADS
    half = -(-_OUT // HEADS)
    queries, keys, values = block.attn.c_attn.weight.split(HIDDEN, dim=1)
    for head in range(HEADS):
        for group in range(_GROUPS):
            queries[_NEXT + group, head * width + group] = SHARPNESS
            keys[_OWN + group, head * width + group] = SHARPNESS
        # Each head brings back its half of the word that was found.
        for n in range(half):
            index = head * half + n
            if index < _OUT:
                values[_NAME + index, head * width + n] = 1
                block.attn.c_proj.weight[head * width + n, _SAID + index] = 4
    assert isinstance(embedding, torch.Tensor)
    model.generation_config.eos_token_id = 0
    return model


def make_folder(folder: str) -> str:
    """Write the model with its tokenizer, one word a token, and return the folder."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit

    make_model().save_pretrained(folder)
    tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="w0"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.save(os.path.join(folder, "tokenizer.json"))
    with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as file:
        json.dump({"tokenizer_class": "PreTrainedTokenizerFast"}, file)
    return folder


def make_prompt(number: int, length: int) -> tuple[str, str]:
    """Return a prompt of ``length`` words, and its key, which no other ``number`` below 10,000 has.

    Keys have 4 to 8 words and stand anywhere in the prompt, which ends with "?".
    """
    draw = np.random.default_rng(number)
    places = 4 + number % (PLACES - 3)
    digits = [int(d) for d in f"{number:04d}"] + [int(d) for d in draw.integers(0, DIGITS, PLACES)]
    key = [f"{LETTERS[place]}{digits[place]}" for place in range(places)]
    marks = [*key, ENDS[places]]
    words = [f"w{n}" for n in draw.integers(0, FILLERS, max(length, len(marks) + 1))]
    spots = sorted(draw.choice(len(words) - 1, len(marks), replace=False))
    for spot, mark in zip(spots, draw.permutation(marks), strict=True):
        words[spot] = str(mark)
    words[-1] = "?"
    return " ".join(words), " ".join(key)
