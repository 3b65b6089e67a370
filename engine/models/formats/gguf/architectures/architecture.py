"""What a family declares: how its file's sizes become a transformers config, and its tensors that model's weights."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.errors import ModelError
from engine.models.formats.gguf.header import Header
from engine.models.formats.gguf.parts import Files

_BLOCK = re.compile(r"^blk\.(\d{1,4})\.(.+)\.(weight|bias)$")


@dataclass(frozen=True, slots=True)
class Change:
    """What llama.cpp's converter did to a tensor, to be undone: nothing, or one of these.

    ``added`` was added to every number. ``heads``: the rows of every one of so many heads were put in pairs, first half
    and second half in turn (its rotary embedding turns neighbours, transformers' turns halves).
    """

    added: float = 0.0
    heads: int = 0


@dataclass(frozen=True, slots=True)
class Architecture:
    """A family: its name in GGUF files, transformers' model type and class, and what its tensors are called.

    ``names`` are those inside a block (``attn_q``) and outside (``token_embd``), with what transformers calls them below
    ``model.layers.N`` and at the top; ``read`` are tensors that ``config`` reads. ``config`` adds what the family has of
    its own to the sizes that all have. ``change`` is asked with a tensor's name inside its block.
    """

    name: str
    model_type: str
    model_class: str
    names: dict[str, str]
    config: Callable[[Files, dict[str, Any]], dict[str, Any]]
    change: Callable[[str, dict[str, Any]], Change] = field(default=lambda _name, _config: Change())
    read: frozenset[str] = frozenset()

    def make_config(self, files: Files) -> dict[str, Any]:
        """Return the transformers config of a model; raises ModelError where the header does not say what is needed."""
        common = _common(files, self)
        return common | self.config(files, common)

    def weight(self, name: str, shown: str) -> str | None:
        """Return what transformers calls the tensor ``name``, None for one that the config has read.

        Raises ModelError for a tensor that the family does not have: leaving it out would change the answers.
        """
        if name in self.read:
            return None
        if name == "output.weight":
            return "lm_head.weight"
        if match := _BLOCK.match(name):
            block, inner, kind = match.groups()
            if inner in self.names:
                return f"model.layers.{block}.{self.names[inner]}.{kind}"
        stem, _, kind = name.rpartition(".")
        if stem in self.names and kind == "weight" and not match:
            return f"model.{self.names[stem]}.weight"
        raise ModelError(
            f"{shown} has a tensor that Heddle does not know in the family {self.name} ({name[:100]}), so its answers would "
            "be wrong. Download the model's folder with safetensors, or choose another model."
        )

    def undone(self, name: str, config: dict[str, Any]) -> Change:
        """Return what is to be undone in the tensor ``name``."""
        match = _BLOCK.match(name)
        return self.change(match[2] if match else name.rpartition(".")[0], config)


DECODER = {
    "token_embd": "embed_tokens",
    "output_norm": "norm",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""Names that most decoders share."""


def same_everywhere(header: Header, key: str, default: int | None = None) -> int:
    """Return a whole number that may be given for every layer, when it is the same for all; raises ModelError else."""
    value = header.values.get(key)
    if not isinstance(value, list):
        return header.whole(key, default)
    if not value or len(set(value)) != 1 or isinstance(value[0], bool) or not isinstance(value[0], int):
        raise ModelError(f"{header.shown} says different numbers for {key} in its layers, which Heddle does not run.")
    return value[0]


def rope(header: Header, name: str) -> dict[str, Any]:
    """Return the rotary embedding's parameters by transformers' names; raises ModelError for a kind that is not known."""
    theta = float(header.number(f"{name}.rope.freq_base", 10_000.0))
    kind = header.text(f"{name}.rope.scaling.type")
    factor = float(header.number(f"{name}.rope.scaling.factor", header.number(f"{name}.rope.scale_linear", 0.0)))
    if kind in ("", "none", "linear") and factor in (0.0, 1.0):
        return {"rope_type": "default", "rope_theta": theta}
    if kind in ("", "linear"):
        return {"rope_type": "linear", "rope_theta": theta, "factor": factor}
    if kind == "yarn":
        original = header.whole(f"{name}.rope.scaling.original_context_length")
        return {
            "rope_type": "yarn",
            "rope_theta": theta,
            "factor": factor,
            "original_max_position_embeddings": original,
        }
    if kind == "longrope":
        return {"rope_type": "default", "rope_theta": theta}  # the family reads its factors from tensors
    raise ModelError(
        f"{header.shown} stretches its positions in the way {kind[:40]!r}, which Heddle does not know. "
        "Download the model's folder with safetensors."
    )


def _common(files: Files, family: Architecture) -> dict[str, Any]:
    header, name = files.first, family.name
    if header.number(f"{name}.expert_count", 0):
        raise ModelError(
            f"{header.shown} is a mixture of experts, which is not read from GGUF files of the family {name}. "
            "Download the model's folder with safetensors."
        )
    table = files.tensors.get("token_embd.weight")
    if table is None or len(table[0].shape) != 2:
        raise ModelError(f"{header.shown} has no table of token vectors (token_embd.weight). Download it again.")
    heads = same_everywhere(header, f"{name}.attention.head_count")
    width = header.whole(f"{name}.embedding_length")
    if width != table[0].shape[1]:
        raise ModelError(
            f"{header.shown} says {width:,} numbers a token, and its token vectors have {table[0].shape[1]:,}. "
            "Download it again."
        )
    if heads < 1 or (width % heads and f"{name}.attention.key_length" not in header.values):
        raise ModelError(f"{header.shown} says {heads:,} heads, which do not divide {width:,}. Download it again.")
    return {
        "model_type": family.model_type,
        "architectures": [family.model_class],
        "vocab_size": table[0].shape[0],
        "hidden_size": width,
        "intermediate_size": same_everywhere(header, f"{name}.feed_forward_length"),
        "num_hidden_layers": header.whole(f"{name}.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": same_everywhere(header, f"{name}.attention.head_count_kv", heads),
        "max_position_embeddings": header.whole(f"{name}.context_length"),
        "rms_norm_eps": float(header.number(f"{name}.attention.layer_norm_rms_epsilon")),
        "rope_parameters": rope(header, name),
        "tie_word_embeddings": "output.weight" not in files.tensors,
    }


def head_dim(files: Files, family: str, config: dict[str, Any]) -> int:
    """Return the numbers of a head's keys, which the header says only where it is not width / heads."""
    whole = config["hidden_size"] // config["num_attention_heads"]
    key = files.first.whole(f"{family}.attention.key_length", whole)
    if files.first.whole(f"{family}.attention.value_length", key) != key:
        raise ModelError(f"{files.first.shown} has keys and values of different widths, which Heddle does not run.")
    return key
