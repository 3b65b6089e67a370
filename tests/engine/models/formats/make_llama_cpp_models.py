"""Makes llama_cpp_models/: tiny models converted and quantised by llama.cpp's own tools, and what llama.cpp computes of them.

Run it where these are installed (none of them is needed by anything else here), with the folder of llama.cpp's sources,
which llama-cpp-python's source distribution carries under ``vendor/``, and this repository on PYTHONPATH:

    pip install llama-cpp-python==0.3.36 sentencepiece==0.2.1 torch transformers==5.23.0
    python make_llama_cpp_models.py llama_cpp_python-0.3.36/vendor/llama.cpp

Each model goes through ``convert_hf_to_gguf.py`` to float32 and through ``llama_model_quantize`` to every block type. The
logits are those of the quantised file after ``llama_model_quantize`` has made floats of it again: llama.cpp's own products
round their activations to 8 bits, which would hide a mistake of a percent.

A model's matrices repeat a few rows, so that a packed file takes some ten kilobytes. Only what names a vocabulary's way of
cutting words is ours: the converter tells it by a checksum of the whole vocabulary.
"""

from __future__ import annotations

import ctypes
import io
import json
import shutil
import sys
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine.models.formats.gguf.pre_tokenizers import PRE_TOKENIZERS

HERE = Path(__file__).parent
OUTPUT = HERE / "llama_cpp_models"
TYPES = {
    "F32": 0, "F16": 1, "BF16": 32, "Q4_0": 2, "Q4_1": 3, "Q5_0": 8, "Q5_1": 9, "Q8_0": 7, "Q4_K": 14, "Q5_K": 16,
    "Q6_K": 18,
}  # fmt: skip
"""Block types, with the number of the ``llama_ftype`` that makes them."""

CONTEXT = 256
"""Tokens of llama.cpp's memory: beyond what a model was first trained for it would take the factors of long texts."""
TOKENS = 48
"""Tokens that go through a model: more than the sliding windows here."""
PIECES = 440
"""Pieces of the SentencePiece vocabularies, 256 of them bytes."""
KEPT, EVERY = 4, 7
"""The last positions whose logits are kept, and every how many tokens of the vocabulary."""

TEXTS = (
    "The 12345 cats' toys aren't 'REAL'; I'VE 3.14!!\n\n\n  Ünïcode: straße, naïve café — 价格是3元。 Привет, мир! नमस्ते",
    "def f(x):\n\treturn {'a': x**2, \"b\": [1, 22, 333, 4444]}  # done?\r\n\r\nHTTPServer/camelCase_snake-kebab 🙂👍🏽",
    " leading and trailing  ",
    "",
)
"""What the tokenizers are trained on and asked about: letters of several scripts, marks, digits, code, spaces."""


@dataclass(frozen=True)
class Recipe:
    """A tiny model: transformers' type and config, its tokenizer (a name of a pre-tokenizer, or SentencePiece's
    ``llama`` or ``gemma``, or ``gemma-unmarked`` whose marks of turns are ordinary tokens), and its block types."""

    model_type: str
    tokenizer: str
    config: dict[str, Any] = field(default_factory=dict)
    types: tuple[str, ...] = tuple(TYPES)


BASE: dict[str, Any] = {
    "hidden_size": 256,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "tie_word_embeddings": False,
}
GEMMA_MARKS = {
    "pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3, "eos_piece": "<eos>", "bos_piece": "<bos>",
}  # fmt: skip
GEMMA: dict[str, Any] = {
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 128,
    "query_pre_attn_scalar": 128,
    "sliding_window": 16,
    "tie_word_embeddings": True,
}
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}  # fmt: skip
LONG = {
    "rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 256, "long_factor": [3.0] * 16,
    "short_factor": [1.0 + n / 16 for n in range(16)],
}  # fmt: skip

RECIPES = {
    "llama": Recipe("llama", "llama-bpe", {"num_attention_heads": 4, "head_dim": 64, "rope_parameters": LLAMA3}),
    "qwen2": Recipe("qwen2", "qwen2", {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}),
    "qwen3": Recipe("qwen3", "qwen2", {"head_dim": 64, "tie_word_embeddings": True}),
    "gemma3": Recipe(
        "gemma3_text",
        "gemma",
        GEMMA
        | {
            "num_hidden_layers": 6,
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            },
        },
    ),
    "phi3": Recipe("phi3", "llama", {"sliding_window": None, "num_key_value_heads": 8}),
    "mistral": Recipe("mistral", "llama", {"sliding_window": None}),
    "smollm": Recipe("llama", "smollm", {"tie_word_embeddings": True}, ("Q8_0",)),
    "gemma2": Recipe(
        "gemma2", "gemma-unmarked", GEMMA | {"attn_logit_softcapping": 20.0, "final_logit_softcapping": 15.0}, ("Q8_0",)
    ),
    "nemo": Recipe("mistral", "tekken", {"head_dim": 64, "sliding_window": None}, ("Q8_0",)),
    "phi3-long": Recipe(
        "phi3",
        "llama",
        {"sliding_window": None, "max_position_embeddings": 512, "original_max_position_embeddings": 256}
        | {"rope_parameters": LONG},
        ("Q8_0",),
    ),
    "phi4": Recipe(
        "phi3",
        "gpt-4o",
        {
            "sliding_window": None,
            "tie_word_embeddings": True,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.75},
        },
        ("Q8_0",),
    ),
    "qwen2-yarn": Recipe(
        "qwen2",
        "qwen2",
        {
            "rope_parameters": {
                "rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 64,
            }
        },
        ("Q8_0",),
    ),
}  # fmt: skip
"""The families that GGUF files are read of in every block type, and ways of theirs that differ in one."""


CUT = "smollm"
"""The model whose vocabulary cuts texts in all the ways that ``tokenizer.ggml.pre`` names and that are read."""
SPLITS = {
    "qwen2": ("--split-max-tensors", "12", "--no-tensor-first-split"),
    "gemma3": ("--split-max-tensors", "32"),
}
"""Models that the converter also writes in several files, the first of which may hold no tensors."""


def byte_level(folder: Path) -> int:
    """Write a byte-level tokenizer whose merges pass over words' bounds, and return its size."""
    import tokenizers
    import transformers

    backend = tokenizers.Tokenizer(tokenizers.models.BPE())
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=420, special_tokens=marks, initial_alphabet=alphabet)
    # Pieces of every text, so that no merge takes the whole of one.
    pieces = [text[n : n + 9] for text in TEXTS for n in range(0, len(text), 2)]
    backend.train_from_iterator(pieces, trainer)
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=marks[1], eos_token=marks[2], pad_token=marks[0]
    )
    made.save_pretrained(folder)
    settings = folder / "tokenizer_config.json"
    # The converter of Phi 4 knows a byte-level tokenizer by this name.
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"tokenizer_class": "GPT2Tokenizer"}))
    return len(made)


def sentence_piece(folder: Path, kind: str) -> int:
    """Write a SentencePiece tokenizer as Llama's or Gemma's are made, and return its size with the marks added."""
    import sentencepiece

    gemma = kind.startswith("gemma")
    marks = ["<mask>", "<start_of_turn>", "<end_of_turn>", "\n", "\n\n", "\u2581\u2581"] if gemma else []
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text[n : n + 40] for text in TEXTS for n in range(0, len(text), 5)]),
        model_writer=model,
        model_type="bpe",
        vocab_size=PIECES,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=not gemma,
        allow_whitespace_only_pieces=True,
        character_coverage=0.98,
        user_defined_symbols=marks,
        **(GEMMA_MARKS if gemma else {}),
        minloglevel=2,
    )
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    names = {"bos_token": "<bos>", "eos_token": "<eos>"} if gemma else {"bos_token": "<s>", "eos_token": "</s>"}
    settings = {"tokenizer_class": "GemmaTokenizer" if gemma else "LlamaTokenizer", "add_bos_token": True, **names}
    if gemma:  # behind <pad>, <eos>, <bos> and <unk>
        added = {mark: n for n, mark in enumerate(marks, 4) if kind == "gemma" or not mark.endswith("_of_turn>")}
    else:
        added = {mark: PIECES + n for n, mark in enumerate(("<|user|>", "<|end|>", "<|assistant|>"))}
    settings["added_tokens_decoder"] = {
        str(n): {"content": mark, "special": mark.startswith("<")} for mark, n in added.items()
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    if not gemma:
        (folder / "added_tokens.json").write_text(json.dumps(added))
    return PIECES if gemma else PIECES + len(added)


def original(folder: Path, recipe: Recipe, seed: int) -> None:
    """Write a transformers model with random weights that repeat."""
    import torch
    import transformers

    sp = recipe.tokenizer == "llama" or recipe.tokenizer.startswith("gemma")
    size = sentence_piece(folder, recipe.tokenizer) if sp else byte_level(folder)
    marks = (2, 1, 0) if recipe.tokenizer.startswith("gemma") else (1, 2, 0)
    ids = dict(zip(("bos_token_id", "eos_token_id", "pad_token_id"), marks, strict=True))
    options = {**BASE, "vocab_size": size, **ids, **recipe.config}
    config = transformers.AutoConfig.for_model(recipe.model_type, **options)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    generator = torch.Generator().manual_seed(seed)
    rows: dict[int, torch.Tensor] = {}
    with torch.no_grad():
        for number, (name, weight) in enumerate(model.named_parameters()):
            if weight.ndim == 1:
                noise = torch.randn(weight.shape, generator=generator)
                weight.copy_(weight + 0.2 * noise if "norm" in name else 0.3 * noise)
                continue
            width = weight.shape[1]
            if width not in rows:
                rows[width] = torch.randn(17, width, generator=generator) * 0.08
            order = torch.arange(len(weight)) + 5 * number
            found = rows[width][order % 17]
            # 51 rows that differ, of the same blocks of 32.
            turned = torch.stack([row.roll(32 * (n // 17 % 3)) for n, row in enumerate(found)])
            weight.copy_(turned if "embed" in name or "lm_head" in name else found)
    model.save_pretrained(folder)


def convert(sources: Path, folder: Path, path: Path, pre: str, *options: str) -> None:
    """Run llama.cpp's converter on ``folder``."""
    sys.path[:0] = [str(sources), str(sources / "gguf-py")]
    import convert_hf_to_gguf  # pyright: ignore[reportMissingImports]
    from conversion.base import TextModel  # pyright: ignore[reportMissingImports]

    TextModel.get_vocab_base_pre = lambda _self, _tokenizer: pre
    sys.argv = ["convert", str(folder), "--outfile", str(path), "--model-name", "tiny", *options]
    convert_hf_to_gguf.main()


def quantise(source: Path, path: Path, kind: str) -> None:
    """Run llama.cpp's quantiser: all matrices in one block type."""
    import llama_cpp  # pyright: ignore[reportMissingImports]

    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype, settings.pure, settings.allow_requantize, settings.nthread = TYPES[kind], True, True, 1
    assert llama_cpp.llama_model_quantize(bytes(source), bytes(path), ctypes.byref(settings)) == 0


def opened(path: Path, *, vocabulary: bool = False) -> Any:
    """Return llama.cpp's model with keys and values in float32, or its vocabulary alone."""
    import llama_cpp  # pyright: ignore[reportMissingImports]

    threads = {"n_threads": 1, "n_threads_batch": 1}
    return llama_cpp.Llama(
        str(path), n_ctx=CONTEXT, logits_all=True, type_k=0, type_v=0, vocab_only=vocabulary, verbose=False, **threads
    )


def logits(path: Path, ids: list[int]) -> np.ndarray:
    """Return what llama.cpp computes for every token."""
    model = opened(path)
    model.eval(ids)
    return np.array(model.scores[: len(ids)], np.float32)


def tokens(path: Path) -> list[dict[str, Any]]:
    """Return what llama.cpp's tokenizer makes of the texts, marks in them taken for marks."""
    model = opened(path, vocabulary=True)
    names = [model._model.token_get_text(n) for n in range(model.n_vocab())]
    mark = next(name for name in ("<|im_end|>", "<end_of_turn>", "<|end|>") if name in names)
    found = []
    for text in (*TEXTS, f"{TEXTS[0][:30]}{mark}\n{TEXTS[1][:30]}"):
        found.append({"text": text, "ids": model.tokenize(text.encode(), add_bos=True, special=True)})
    return found


def pack(archive: Path, paths: list[Path]) -> None:
    """Put files into an archive, the same for the same files."""
    with tarfile.open(archive, "w:xz", preset=9) as packed:
        for path in paths:
            entry = tarfile.TarInfo(path.name)
            entry.size = path.stat().st_size
            with open(path, "rb") as file:
                packed.addfile(entry, file)
    print(archive.name, archive.stat().st_size, "bytes", flush=True)


def main(sources: Path) -> None:
    """Make everything anew."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir()
    expected: dict[str, np.ndarray] = {}
    said: dict[str, Any] = {}
    cut: dict[str, list[list[int]]] = {}
    for seed, (name, recipe) in enumerate(RECIPES.items()):
        with tempfile.TemporaryDirectory() as temporary:
            place = Path(temporary)
            (place / "model").mkdir()
            original(place / "model", recipe, seed)
            convert(sources, place / "model", place / "plain.gguf", recipe.tokenizer, "--outtype", "f32")
            said[name] = tokens(place / "plain.gguf")
            # Every token of the vocabulary may come, in an order that is no sequence.
            ids = [int(n) for n in np.random.default_rng(seed).integers(3, 380, TOKENS)]
            paths = [place / f"{name}-{kind}.gguf" for kind in recipe.types]
            for kind, path in zip(recipe.types, paths, strict=True):
                floats = place / "floats.gguf"
                quantise(place / "plain.gguf", path, kind)
                quantise(path, floats, "F32")
                found, rough = logits(floats, ids), logits(path, ids)
                expected[f"{name} {kind}"] = found[-KEPT:, ::EVERY]
                apart = np.sqrt(np.mean((rough - found) ** 2)) / found.std()
                print(f"{name} {kind}: {path.stat().st_size} bytes, in its own blocks {apart:.2g} apart", flush=True)
            pack(OUTPUT / f"{name}.tar.xz", paths)
            expected[f"{name} ids"] = np.array(ids, np.int32)
            if name == CUT:
                for pre in PRE_TOKENIZERS:
                    convert(sources, place / "model", place / "cut.gguf", pre, "--vocab-only")
                    cut[pre] = [case["ids"] for case in tokens(place / "cut.gguf")]
            if name in SPLITS:
                split = (place / f"{name}-split.gguf", recipe.tokenizer, "--outtype", "q8_0", *SPLITS[name])
                convert(sources, place / "model", *split)
                pack(OUTPUT / f"{name}-split.tar.xz", sorted(place.glob(f"{name}-split-*.gguf")))
    np.savez_compressed(OUTPUT / "logits.npz", **expected)
    (OUTPUT / "tokens.json").write_text(json.dumps(said, ensure_ascii=False, indent=1), "utf-8")
    (OUTPUT / "cuts.json").write_text(json.dumps(cut), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
