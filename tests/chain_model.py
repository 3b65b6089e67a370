"""A text generator that writes what it was told: each word is followed by the one that a chain names, whatever stood before."""

from __future__ import annotations

import os
from typing import Any


def make_folder(folder: str, chain: dict[str, str], *, template: str = "", special: tuple[str, ...] = ()) -> str:
    """Write a GPT-2 whose greedy answer follows ``chain``, with one word a token; ``<end>`` ends an answer.

    ``special`` are words that are special tokens.
    """
    import torch
    import transformers
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit

    words = list(dict.fromkeys(["<end>", "<unk>", *chain, *chain.values()]))
    size = len(words)
    config = transformers.GPT2Config(
        vocab_size=size,
        n_embd=2 * size + size % 2,
        n_layer=1,
        n_head=1,
        n_positions=512,
        bos_token_id=None,
        eos_token_id=0,
        tie_word_embeddings=False,
    )
    model: Any = transformers.GPT2LMHeadModel(config).eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        weight.fill_(1.0 if ".ln_" in name and name.endswith("weight") else 0.0)
    model.transformer.wte.weight[:, :size] = torch.eye(size)
    for word, following in chain.items():
        model.lm_head.weight[words.index(following), words.index(word)] = 1.0
    model.generation_config.eos_token_id = 0
    model.save_pretrained(folder)
    tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<end>")
    if special:
        made.add_special_tokens({"additional_special_tokens": list(special)})
    if template:
        made.chat_template = template
    made.save_pretrained(folder)
    return os.fspath(folder)
