"""Makes tiny model folders for tests: real architectures with random weights, real tokenizers, real files around them.

Nothing is downloaded. A folder takes some 100 ms; weights and vocabulary depend on the seed and the text below only.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from typing import Any

WORDS = """
The loom stands in the corner of the workshop, and every morning someone threads it again with new yarn.
A contract names two parties, a price, and the day on which the goods are to be delivered; nobody reads it twice.
Please reset my password, I have tried to sign in since yesterday and the page answers that my account is unknown.
The engine started at once, ran for eleven hours without a fault, and stopped when the tank was empty.
Water boils at one hundred degrees at the level of the sea, and sooner on the mountain where the air is thin.
In the interview she said that the work was hard but fair, that the pay came late, and that she would stay.
Error 404: the requested file was not found on this server; see the log for the time and the address of the caller.
Our study compares three methods on five collections of abstracts and finds no difference that would matter.
Chapter one. It was raining, the harbour lay grey and still, and the last ferry had left before the letter came.
Bring flour, salt, yeast and warm water together, knead the dough for ten minutes and let it rest under a cloth.
"""

FAMILIES = (
    "bert",
    "roberta",
    "xlm-roberta",
    "distilbert",
    "mpnet",
    "modernbert",
    "albert",
    "electra",
    "qwen3",
    "nomic_bert",
    "eurobert",
)
"""Families that ``make_folder`` makes."""

OTHERS: dict[str, dict[str, Any]] = {
    "gpt2": {},
    "bart": {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64},
    "ctrl": {"dff": 64},
    "gptj": {"rotary_dim": 4},
    "deberta": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "type_vocab_size": 2},
    "fnet": {"type_vocab_size": 2},
    "xlnet": {"d_inner": 64, "d_head": 8, "max_position_embeddings": None},
    "embedding_gemma2_text": {
        "num_key_value_heads": 2,
        "head_dim": 8,
        "global_head_dim": 16,
        "sliding_window": 11,
        "hidden_size_per_layer_input": 8,
    },
}
"""Families that ``make_folder`` makes too, each odd in a way of its own, with what their configurations need more."""

_WORDPIECE = ("bert", "distilbert", "mpnet", "modernbert", "albert", "electra", "nomic_bert", *OTHERS)
_BERT = {"cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "unk": "[UNK]", "mask": "[MASK]"}
_ROBERTA = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
_MARKS = {
    **{family: _BERT for family in _WORDPIECE},  # noqa: C420 - never changed
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "qwen3": {"pad": "<|endoftext|>", "eos": "<|im_end|>"},
    "eurobert": {"bos": "<s>", "eos": "</s>", "pad": "<pad>", "mask": "<mask>"},
}


@dataclass(frozen=True)
class Vocabulary:
    """A trained tokenizer with the ids of its marks."""

    tokenizer: Any
    marks: dict[str, str]
    size: int

    def id(self, mark: str) -> int:
        return self.tokenizer.token_to_id(self.marks[mark])


def make_vocabulary(family: str, *, size: int = 400) -> Vocabulary:
    """Make a WordPiece or byte-level BPE vocabulary of ``WORDS``, with the marks around a text that the family uses."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    marks = _MARKS[family]
    special = list(marks.values())
    if family in _WORDPIECE:
        tokenizer = Tokenizer(models.WordPiece(_word_pieces(special, size), unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        tokenizer.add_special_tokens(special)
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=special,
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        )
        tokenizer.train_from_iterator(WORDS.strip().splitlines(), trainer)
    if "cls" in marks:
        first, last = marks["cls"], marks["sep"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{first} $A {last}",
            pair=f"{first} $A {last} $B:1 {last}:1",
            special_tokens=[(mark, tokenizer.token_to_id(mark)) for mark in (first, last)],
        )
    elif family == "eurobert":
        ends = [(marks[name], tokenizer.token_to_id(marks[name])) for name in ("bos", "eos")]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{marks['bos']} $A {marks['eos']}", special_tokens=ends
        )
    else:  # Qwen3-Embedding: nothing in front, the mark for the end of a text behind
        end = marks["pad"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {end}", special_tokens=[(end, tokenizer.token_to_id(end))]
        )
    return Vocabulary(tokenizer, marks, tokenizer.get_vocab_size())


def _word_pieces(special: list[str], size: int) -> dict[str, int]:
    """Return letters, letters inside words, and the most frequent words and endings (the trainer is random)."""
    words = re.findall(r"[a-z]+", WORDS.lower())
    letters = sorted(set(WORDS.lower().replace("\n", "")) - {" "})
    counts = Counter(word for word in words if len(word) > 1)
    counts.update(f"##{word[-length:]}" for word in set(words) for length in (2, 3) if len(word) > length)
    frequent = sorted(counts, key=lambda piece: (-counts[piece], piece))
    pieces = dict.fromkeys([*special, *letters, *(f"##{letter}" for letter in letters), *frequent])
    return {piece: index for index, piece in enumerate(list(pieces)[:size])}


def make_config(family: str, vocabulary: Vocabulary, *, hidden: int, layers: int, heads: int, positions: int) -> Any:
    """Return the family's configuration in small. ``positions`` are those that tokens can take."""
    import transformers

    plain: dict[str, Any] = {
        "vocab_size": vocabulary.size,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 2 * hidden,
        "max_position_embeddings": positions,
        "pad_token_id": vocabulary.id("pad"),
        # Far larger than in training, so that random weights still tell texts apart.
        "initializer_range": 0.2,
    }
    if family in OTHERS:
        options = {key: value for key, value in {**plain, **OTHERS[family]}.items() if value is not None}
        return transformers.AutoConfig.for_model(family, **options)
    ends: dict[str, Any] = {}
    if "cls" in vocabulary.marks:
        ends = {"bos_token_id": vocabulary.id("cls"), "eos_token_id": vocabulary.id("sep")}
    if family in ("roberta", "xlm-roberta", "mpnet"):
        plain["max_position_embeddings"] = positions + plain["pad_token_id"] + 1
    if family in ("roberta", "xlm-roberta"):
        kind = transformers.RobertaConfig if family == "roberta" else transformers.XLMRobertaConfig
        return kind(**plain, **ends, type_vocab_size=1)
    if family == "distilbert":
        renamed = {"hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads"}
        renamed["intermediate_size"] = "hidden_dim"
        return transformers.DistilBertConfig(**{renamed.get(key, key): value for key, value in plain.items()})
    if family == "modernbert":
        ends |= {"cls_token_id": vocabulary.id("cls"), "sep_token_id": vocabulary.id("sep")}
        ends["layer_types"] = ["full_attention" if index % 2 == 0 else "sliding_attention" for index in range(layers)]
        return transformers.ModernBertConfig(**plain, **ends, local_attention=8, initializer_cutoff_factor=2.0)
    if family == "albert":
        return transformers.AlbertConfig(**plain, **ends, embedding_size=hidden // 2)
    if family == "electra":
        return transformers.ElectraConfig(**plain, embedding_size=hidden // 2)
    if family == "qwen3":
        ends = {"eos_token_id": vocabulary.id("eos"), "bos_token_id": None}
        return transformers.Qwen3Config(**plain, **ends, num_key_value_heads=heads // 2, head_dim=hidden // heads)
    if family == "eurobert":
        ends = {"eos_token_id": vocabulary.id("eos"), "bos_token_id": vocabulary.id("bos")}
        ends |= {"mask_token_id": vocabulary.id("mask"), "num_key_value_heads": heads // 2}
        return transformers.EuroBertConfig(**plain, **ends)
    kinds = {"bert": "BertConfig", "mpnet": "MPNetConfig", "nomic_bert": "NomicBertConfig"}
    return getattr(transformers, kinds[family])(**plain, **(ends if family == "mpnet" else {}))


def make_folder(
    root: str | os.PathLike[str],
    family: str = "bert",
    *,
    hidden: int = 32,
    layers: int = 2,
    heads: int = 4,
    positions: int = 128,
    pooling: str | tuple[str, ...] | None = None,
    include_prompt: bool = True,
    normalize: bool = True,
    dense: int = 0,
    dense_bias: bool = True,
    activation: str = "torch.nn.modules.activation.Tanh",
    prompts: dict[str, str] | None = None,
    default_prompt: str | None = None,
    similarity: str | None = None,
    truncate_dim: int | None = None,
    max_seq_length: int | None = 64,
    model_max_length: int | None = None,
    do_lower_case: bool = False,
    modules: bool = True,
    new_layout: bool = False,
    subfolder: str = "",
    dtype: str = "float32",
    shard_bytes: int = 0,
    head: str = "",
    seed: int = 20,
) -> str:
    """Make a model folder at ``root`` and return its path.

    ``pooling`` defaults to the family's own (the last token for qwen3, else the mean); ``dense`` > 0 adds a dense
    layer to that many numbers; ``modules`` false leaves out all of sentence-transformers' files; ``new_layout`` writes
    them as release 5.4 and later do; ``shard_bytes`` > 0 splits the weights; ``head`` such as ``ForMaskedLM`` saves
    another class of the family.
    """
    import torch
    import transformers

    folder = os.fspath(root)
    inner = os.path.join(folder, subfolder) if subfolder else folder
    os.makedirs(inner, exist_ok=True)
    vocabulary = make_vocabulary(family)
    config = make_config(family, vocabulary, hidden=hidden, layers=layers, heads=heads, positions=positions)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        kind = getattr(transformers, f"AutoModel{head}") if head else transformers.AutoModel
        model = kind.from_config(config).to(getattr(torch, dtype))
        model.save_pretrained(inner, max_shard_size=shard_bytes or "5GB")
        layer = torch.nn.Linear(hidden * _modes(family, pooling)[1], dense, bias=dense_bias) if dense else None
    save_tokenizer(inner, vocabulary, model_max_length)
    if modules:
        _write_modules(
            folder,
            subfolder,
            hidden=hidden,
            modes=_modes(family, pooling)[0],
            include_prompt=include_prompt,
            layer=layer,
            activation=activation,
            normalize=normalize,
            new=new_layout,
        )
        own: dict[str, Any] = {"max_seq_length": max_seq_length, "do_lower_case": do_lower_case}
        if new_layout:
            own |= {"transformer_task": "feature-extraction", "module_output_name": "token_embeddings"}
            own["modality_config"] = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
        write_json(inner, "sentence_bert_config.json", own)
        outer: dict[str, Any] = {"__version__": {"sentence_transformers": "5.0.0"}, "prompts": prompts or {}}
        outer |= {"default_prompt_name": default_prompt, "similarity_fn_name": similarity}
        if truncate_dim is not None:
            outer["truncate_dim"] = truncate_dim
        if new_layout:
            outer["model_type"] = "SentenceTransformer"
        write_json(folder, "config_sentence_transformers.json", outer)
    return folder


def make_bert(root: str | os.PathLike[str], **options: Any) -> str:
    """Make a BERT folder; options as in ``make_folder``."""
    return make_folder(root, "bert", **options)


def make_cache(hub: str | os.PathLike[str], name: str, folder: str, *, revision: str = "a" * 40) -> str:
    """Put ``folder`` into a Hugging Face cache as model ``name`` (``org/name``), with links to blobs, and return it."""
    repository = os.path.join(os.fspath(hub), "models--" + name.replace("/", "--"))
    snapshot = os.path.join(repository, "snapshots", revision)
    blobs = os.path.join(repository, "blobs")
    os.makedirs(blobs, exist_ok=True)
    for place, _, files in os.walk(folder):
        inner = os.path.normpath(os.path.join(snapshot, os.path.relpath(place, folder)))
        os.makedirs(inner, exist_ok=True)
        for file in files:
            blob = os.path.join(blobs, f"{len(os.listdir(blobs)):040x}")
            shutil.copyfile(os.path.join(place, file), blob)
            os.symlink(os.path.relpath(blob, inner), os.path.join(inner, file))
    os.makedirs(os.path.join(repository, "refs"), exist_ok=True)
    with open(os.path.join(repository, "refs", "main"), "w", encoding="ascii") as ref:
        ref.write(revision)
    return snapshot


def save_tokenizer(folder: str, vocabulary: Vocabulary, model_max_length: int | None = None) -> None:
    """Save the tokenizer as transformers does."""
    from transformers import PreTrainedTokenizerFast

    names = {f"{mark}_token": text for mark, text in vocabulary.marks.items()}
    limit = {} if model_max_length is None else {"model_max_length": model_max_length}
    PreTrainedTokenizerFast(tokenizer_object=vocabulary.tokenizer, **names, **limit).save_pretrained(folder)


def read_json(folder: str, name: str) -> Any:
    """Return the value in a JSON file of the folder."""
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return json.load(file)


def write_json(folder: str, name: str, value: Any) -> None:
    """Write a JSON file into the folder."""
    os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)


def change_json(folder: str, name: str, **values: Any) -> None:
    """Set keys of an object in a JSON file of the folder."""
    write_json(folder, name, read_json(folder, name) | values)


def _modes(family: str, pooling: str | tuple[str, ...] | None) -> tuple[tuple[str, ...], int]:
    modes = pooling or ("lasttoken" if family == "qwen3" else "mean")
    modes = (modes,) if isinstance(modes, str) else modes
    return modes, len(modes)


_SWITCHES = {
    "cls": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "max": "pooling_mode_max_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}


def _write_modules(
    folder: str,
    subfolder: str,
    *,
    hidden: int,
    modes: tuple[str, ...],
    include_prompt: bool,
    layer: Any,
    activation: str,
    normalize: bool,
    new: bool,
) -> None:
    from safetensors.torch import save_file

    base, own = "sentence_transformers.base.modules", "sentence_transformers.sentence_transformer.modules"
    names = {
        "Transformer": f"{base}.transformer.Transformer",
        "Pooling": f"{own}.pooling.Pooling",
        "Dense": f"{base}.dense.Dense",
        "Normalize": f"{base}.normalize.Normalize",
    }
    kinds = ["Transformer", "Pooling", *(["Dense"] if layer is not None else []), *(["Normalize"] if normalize else [])]
    entries = []
    for index, kind in enumerate(kinds):
        path = subfolder if kind == "Transformer" else f"{index}_{kind}"
        name = names[kind] if new else f"sentence_transformers.models.{kind}"
        entries.append({"idx": index, "name": str(index), "path": path, "type": name})
    write_json(folder, "modules.json", entries)
    if new:
        mode: Any = modes[0] if len(modes) == 1 else list(modes)
        pooling = {"embedding_dimension": hidden, "pooling_mode": mode, "include_prompt": include_prompt}
    else:
        pooling = {"word_embedding_dimension": hidden, "include_prompt": include_prompt}
        pooling |= {switch: mode in modes for mode, switch in _SWITCHES.items()}
    write_json(folder, "1_Pooling/config.json", pooling)
    if layer is not None:
        config = {"in_features": layer.in_features, "out_features": layer.out_features}
        config |= {"bias": layer.bias is not None, "activation_function": activation}
        write_json(folder, "2_Dense/config.json", config)
        tensors = {f"linear.{name}": value.detach() for name, value in layer.named_parameters()}
        save_file(tensors, os.path.join(folder, "2_Dense", "model.safetensors"), metadata={"format": "pt"})
