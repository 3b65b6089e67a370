"""Tokenizers made on the spot, one of each kind that models come with, and a chat template for each."""

from __future__ import annotations

from typing import Any

from model_folders import WORDS

CHAT = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TRIMMED = (
    "{{ bos_token }}{% for m in messages %}{{ '<|user|>' if m['role'] != 'assistant' else '<|assistant|>' }} "
    "{{ m['content'] | trim }}</s> {% endfor %}<|assistant|>"
)
SPECIAL = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
BRACKETED = ("<think>", "</think>", "<tool_call>")
"""Marks that are no special tokens, as Qwen3's are."""

KINDS = ("bytes", "unigram", "unigram-first", "prepended", "stripping", "wordpiece", "slow")


def make_tokenizer(kind: str) -> Any:
    """Return a transformers tokenizer of ``kind`` with a chat template."""
    import transformers
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    if kind == "slow":  # written in Python: there are no offsets and no file to copy
        made = transformers.ByT5Tokenizer()
        made.add_special_tokens({"additional_special_tokens": list(SPECIAL)})
        made.add_tokens([AddedToken(text, normalized=False) for text in BRACKETED])
        made.chat_template = CHAT
        return made
    lines = WORDS.strip().splitlines()
    alphabet = sorted({letter for line in lines for letter in line} | set("<|>_/[]{}=.,:;!?0123456789\n "))
    if kind in ("bytes", "stripping"):
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        letters = pre_tokenizers.ByteLevel.alphabet()
        trainer: Any = trainers.BpeTrainer(vocab_size=400, show_progress=False, initial_alphabet=letters)
        tokenizer.train_from_iterator(lines, trainer)
        names = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
        strip = kind == "stripping"
        tokenizer.add_special_tokens([AddedToken(text, rstrip=strip, lstrip=strip, special=True) for text in SPECIAL])
        tokenizer.add_tokens([*(AddedToken(text, normalized=False) for text in BRACKETED), "  ", "\n\n", "covid"])
        return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=CHAT, **names)
    if kind == "wordpiece":
        from model_folders import make_vocabulary

        tokenizer = make_vocabulary("bert").tokenizer
        tokenizer.add_special_tokens(list(SPECIAL))
        names = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
        return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=CHAT, **names)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    if kind == "prepended":  # Llama 2 as converted: marks in the vocabulary, bytes for what is unknown
        pieces = ["<unk>", "<s>", "</s>", "<pad>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
        pieces += [letter for letter in alphabet if letter not in " \n"]
        merges = [("<", "s"), ("<s", ">"), ("<", "/"), ("s", ">"), ("</", "s>"), ("▁", "t"), ("h", "e")]
        pieces += [left + right for left, right in merges]
        vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
        tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.normalizer = normalizers.NFKC()
        scheme = "first" if kind == "unigram-first" else "always"
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
        trainer = trainers.UnigramTrainer(
            vocab_size=300, show_progress=False, special_tokens=special, unk_token="<unk>", initial_alphabet=alphabet
        )
        tokenizer.train_from_iterator(lines, trainer)
    tokenizer.add_special_tokens(special)
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in ("<|user|>", "<|assistant|>")])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=TRIMMED, **names)
