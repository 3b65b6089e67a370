"""Look before you load: what is in a model folder, whether it can run, and why not.

Only JSON files and safetensors headers are read: nothing is allocated by what a file claims, no code is run, and
neither torch nor transformers is imported.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from engine.api.facts import ModelFacts
from engine.errors import ModelError
from engine.models.families import families
from engine.models.formats.gguf.look import look_at
from engine.models.formats.gguf.parts import ENDING, is_gguf, model_name
from engine.models.json_file import read_object
from engine.models.kv import kv_numbers, table_numbers
from engine.models.links import cached_name, outside_links
from engine.models.other_formats import ADAPTER, adapter, no_model, not_a_folder
from engine.models.pipeline import EmbeddingPipeline, read_pipeline, transformer_place
from engine.models.place import model_place
from engine.models.sizes import (
    check_against_weights,
    check_output_layer,
    check_sizes,
    hidden_size,
    layers_left_out,
    text_config,
)
from engine.models.supplied import supplied_at
from engine.models.tokenizer_files import check_generation_config, check_tokenizer_files, look_at_template
from engine.models.vocabulary import look_at_tokenizer
from engine.models.weights import Weights, find_weights
from engine.requests.capability import ENCODE, GENERATE

MARKERS = ("config.json", "modules.json")
"""A folder with one of these is a model's."""

ITEMSIZE = {"float32": 4, "bf16": 2}
"""Bytes a weight takes in memory by number format."""

TABLE_SIZE = {"int8": 1.01, "int4": 0.63}
"""Bytes of a number of the table of token vectors in a whole format; int4 has a scale and a middle for every 32."""

QUANTISED_SIZE = {"int8": 1.01, "int4": 0.57}
"""The same where weights are whole numbers: int8 has a scale per row, int4 a scale and a middle for every 64 numbers."""

BATCH = 4096
"""Tokens in the largest batch of a worker, for the memory estimate."""

_PLAIN_NAMES = frozenset(("model", "models", "snapshot", "checkpoint", "output", "final", "best"))
"""Folder names that say nothing; the folder above is shown as well."""

_GENERATORS = ("ForCausalLM", "LMHeadModel")
GENERATING = ("decoder", "encoder-decoder")
"""Kinds of models that write text."""

_CLASSIFIERS = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice")


def look(folder: str) -> ModelFacts:
    """Return what is in ``folder`` and whether it can run; never raises: what is wrong goes into ``problems``.

    ``bytes`` is the size of the weights on disk; ``memory`` is an estimate in bytes for each number format: the
    weights and one worker's largest batch. It does not depend on this machine; ``fits`` compares.
    """
    found = _Findings()
    name, source = _folder_name(os.path.abspath(folder)), "folder"
    try:
        folder = os.path.abspath(model_place(folder))
        if ours := supplied_at(folder):
            name, source = ours.label, ours.name
            found.warnings += filter(None, (ours.advice,))
        elif cached := cached_name(folder):
            name, source = cached, "cache"
        if is_gguf(folder):
            name = name if ours else model_name(folder)
            title = _look_into_gguf(folder, found)
            if not ours and not folder.lower().endswith(ENDING):
                name = title or name  # a blob whose name is a checksum
        else:
            _look(folder, found)
    except ModelError as error:
        found.problems.append(str(error))
    except MemoryError:
        found.problems.append("The folder's files are too large to be looked at. Choose another model.")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        found.problems.append(f"The folder cannot be read ({reason}). Check its name and its permissions.")
    found.problems = [_bounded(problem) for problem in found.problems]
    return ModelFacts(os.path.abspath(folder), name, usable=not found.problems, source=source, **found.facts())


def require(folder: str) -> ModelFacts:
    """Return the facts of a folder that can be used; raises ModelError with its first problem if it cannot."""
    facts = look(folder)
    if not facts.usable:
        raise ModelError(f"{facts.name} cannot be used. {facts.problems[0]} (Folder: {facts.folder})")
    return facts


def fits(facts: ModelFacts, dtype: str, available_bytes: int) -> str:
    """Return an empty string if the model fits into ``available_bytes`` as ``dtype``, else a sentence that warns.

    ``dtype`` is a key of ``facts.memory``; any other, such as ``auto``, is taken for float32, which needs most.
    """
    dtype = dtype if dtype in facts.memory else "float32"
    need = facts.memory.get(dtype, 0)
    if need <= available_bytes:
        return ""
    smaller = facts.memory.get("bf16", need)
    advice = f"choose bf16 ({_gigabytes(smaller)}), " if smaller <= available_bytes and dtype != "bf16" else ""
    return (
        f"{facts.name} needs about {_gigabytes(need)} as {dtype}, but only {_gigabytes(available_bytes)} of memory are "
        f"free. Close other programs, {advice}or choose a smaller model."
    )


@dataclass(slots=True)
class _Findings:
    """What the look has found so far."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    links: tuple[str, ...] = ()
    family: str = ""
    architecture: str = ""
    kind: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    weights: Weights | None = None
    pipeline: EmbeddingPipeline | None = None
    stored: str = ""
    """How the weights are stored, where that is not said by their format alone."""
    licence: str = ""

    def facts(self) -> dict[str, Any]:
        """Return the fields of ModelFacts."""
        weights, pipeline = self.weights, self.pipeline
        result: dict[str, Any] = {"problems": tuple(self.problems), "warnings": tuple(self.warnings)}
        result |= {"links": self.links, "family": self.family, "architecture": self.architecture, "kind": self.kind}
        result["licence"] = self.licence
        if weights is not None:
            result |= {"parameters": weights.parameters, "dtype": self.stored or weights.dtype, "bytes": weights.bytes}
            result["memory"] = _memory(self.config, weights, quantised=self.kind in GENERATING)
        if pipeline is not None:
            result |= {"dimension": pipeline.dimension, "max_tokens": pipeline.max_tokens}
            result["pooling"] = " + ".join(pipeline.pooling)
            dense = sum((layer.in_features + layer.bias) * layer.out_features for layer in pipeline.dense)
            result["parameters"] = result.get("parameters", 0) + dense
            if not self.problems:
                result["capabilities"] = (ENCODE,)
        elif self.kind in GENERATING and not self.problems:
            result["capabilities"] = (GENERATE,)
            result["max_tokens"] = _context(self.config)
            result["kv_numbers"] = kv_numbers(self.config)
        return result


def _context(config: dict[str, Any]) -> int:
    """Return the tokens that a text generator's config says it takes, 0 where it says nothing."""
    text = text_config(config)
    for name in ("max_position_embeddings", "n_positions", "max_seq_len"):
        if isinstance(text.get(name), int):
            return int(text[name])
    return 0


def _look(folder: str, found: _Findings) -> None:
    """Fill ``found``; the first fault that leaves nothing to look at is raised, others are collected."""
    if not os.path.isdir(folder):
        raise ModelError(not_a_folder(folder))
    if not any(os.path.lexists(os.path.join(folder, name)) for name in MARKERS):
        raise ModelError(no_model(folder))
    found.links, refused = outside_links(folder)
    if refused:
        found.problems += refused
        return
    declared = os.path.lexists(os.path.join(folder, "modules.json"))
    sub = transformer_place(folder)
    shown = f"{sub}/" if sub else ""
    place = os.path.join(folder, sub) if sub else folder
    if os.path.lexists(os.path.join(place, ADAPTER)):
        raise adapter(place, shown)
    found.config = read_object(os.path.join(place, "config.json"), f"{shown}config.json")
    _look_at_config(found, declared)
    try:
        found.weights = find_weights(place, shown)
    except ModelError as error:
        found.problems.append(str(error))
    if found.weights is not None:
        _collect(found, lambda weights: _look_at_weights(found, weights, place, shown))
    if declared or found.kind == "encoder":
        _collect(found, lambda weights: _look_at_pipeline(found, weights, folder))


def _look_into_gguf(path: str, found: _Findings) -> str:
    """Fill ``found`` from the headers of a model's GGUF files, and return the name that they give it."""
    seen = look_at(path)
    found.config, found.weights, found.stored, found.licence = seen.config, seen.weights, seen.types, seen.licence
    found.family, found.kind = seen.config["model_type"], "decoder"
    found.architecture = seen.config["architectures"][0]
    found.warnings += seen.warnings
    check_sizes(found.config)
    check_against_weights(found.config, seen.weights)
    return seen.name


def _collect(found: _Findings, step: Any) -> None:
    """Run a step that needs the weights, and keep its fault."""
    if found.weights is None:
        return
    try:
        step(found.weights)
    except ModelError as error:
        found.problems.append(str(error))


def _look_at_config(found: _Findings, declared: bool) -> None:
    """Judge config.json by itself: the family, the sizes, code from the folder, and what the model is for."""
    config = found.config
    model_type = config.get("model_type")
    names = config.get("architectures") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ModelError("config.json: architectures is not a list of names. Download the file again.")
    found.architecture = names[0] if names else ""
    if not isinstance(model_type, str) or not model_type:
        raise ModelError("config.json does not say which model_type this is. Choose a model made for transformers.")
    found.family = model_type
    _refuse_code(found, names)
    check_sizes(config)
    if config.get("transformers_weights") not in (None, "model.safetensors", "model.safetensors.index.json"):
        raise ModelError(
            "config.json: transformers_weights names other weights than model.safetensors. Remove the line."
        )
    for key in ("quantization_config", "compression_config", "quantization"):
        if config.get(key):
            method = config[key].get("quant_method", "") if isinstance(config[key], dict) else ""
            raise ModelError(
                f"config.json: the weights are quantised ({method or key}), and Heddle does not run quantised weights "
                "such as GPTQ or AWQ yet. Download the original model; it can be run as bf16."
            )
    found.kind = "embedding" if declared else _kind(config, names)
    refusals = {
        "classifier": f"This model has a head of its own ({found.architecture}); such models are not in this version. "
        "Choose an embedding model: the task classify takes labels of your own.",
        "unknown": f"The family {model_type} does not read text in a way that Heddle knows. Choose an embedding model.",
    }
    if found.kind in refusals:
        found.problems.append(refusals[found.kind])


def _refuse_code(found: _Findings, names: list[str]) -> None:
    """Refuse families that transformers does not know, and folders that need the code that comes with them."""
    known, model_type = families(), found.family
    code = bool(found.config.get("auto_map"))
    if not known.knows(model_type):
        if code:
            raise ModelError(
                f"config.json: {model_type} needs code from the model's folder (auto_map), and Heddle runs no code "
                "that comes with a model. Use a version of the model that works without trust_remote_code."
            )
        raise ModelError(
            f"config.json: the installed transformers does not know the model_type {model_type!r}. "
            "A newer transformers may; otherwise choose another model."
        )
    if not code:
        return
    classes = known.classes.get(model_type, frozenset())
    if names and classes and not classes.intersection(names):
        raise ModelError(
            f"config.json: {names[0]} is code from the model's folder (auto_map), not the {model_type} that "
            "transformers has, and Heddle runs no code that comes with a model. Choose another model."
        )
    found.warnings.append(
        f"The folder brings code of its own (auto_map in config.json). It is not used: transformers' {model_type} runs."
    )


def _kind(config: dict[str, Any], names: list[str]) -> str:
    """Return what a folder without modules.json is for: decoder, encoder, encoder-decoder, classifier or unknown."""
    known, model_type = families(), config["model_type"]
    name = names[0] if names else ""
    if not known.reads_text(model_type):
        return "unknown"
    if name.endswith(_CLASSIFIERS):
        return "classifier"
    if name.endswith("EncoderModel"):
        return "encoder"
    if model_type in known.seq2seq or config.get("is_encoder_decoder") is True:
        return "encoder-decoder"
    if name.endswith(_GENERATORS):
        # Text generators that were made to look both ways are encoders, as sentence-transformers has it.
        return "encoder" if config.get("is_causal") is False else "decoder"
    return "decoder" if not name and model_type in known.causal - known.masked else "encoder"


def _look_at_weights(found: _Findings, weights: Weights, place: str, shown: str) -> None:
    """Compare the weights with config.json and the tokenizer with the weights."""
    if weights.unusual:
        raise ModelError(
            f"{shown}{weights.files[0]}: the tensor {weights.unusual} is stored in fewer than 16 bits; Heddle does not "
            "run weights that are quantised on disk yet. Download the original model."
        )
    check_against_weights(found.config, weights)
    if found.kind in GENERATING:
        check_output_layer(found.config, weights)
    if found.kind != "encoder-decoder" and (warning := layers_left_out(found.config, weights)):
        found.warnings.append(warning)
    words = look_at_tokenizer(place, shown)
    marks = check_tokenizer_files(place, shown)
    if found.kind in GENERATING:
        look_at_template(place, shown, marks)
        check_generation_config(place, shown, found.config)
    table = weights.embedding()
    rows = table.shape[0] if table is not None else text_config(found.config).get("vocab_size", 0)
    if not isinstance(rows, int) or rows <= 0:
        return
    if words.largest >= rows:
        raise ModelError(
            f"{shown}{words.file} has tokens up to number {words.largest:,}, but the model has vectors for {rows:,}. "
            "The tokenizer is of another model: download its files again."
        )
    if words.special >= rows:
        found.warnings.append(
            f"{shown}{words.file} has special marks up to number {words.special:,}, but the model has vectors for "
            f"{rows:,} only. A document that holds such a mark literally will fail."
        )


def _look_at_pipeline(found: _Findings, weights: Weights, folder: str) -> None:
    """Read how vectors are made."""
    pipeline = read_pipeline(folder, weights)
    found.pipeline = pipeline
    found.warnings += pipeline.notes
    if not pipeline.declared:
        found.warnings.append(
            "The folder has no modules.json, so it does not say how vectors are made. The mean of the token vectors is "
            "taken, as sentence-transformers does; models not trained for that give vectors of little use."
        )


def _memory(config: dict[str, Any], weights: Weights, *, quantised: bool) -> dict[str, int]:
    """Return the estimated bytes by number format: all weights, and what one worker's largest batch needs in between.

    ``quantised``: the model also runs with int8 and int4 weights; its table of token vectors is in that format then and
    its output layer int8, each for itself even if they are one on disk.

    A layer holds about six token vectors (input, query, key, value, output, residual) and two of the wide ones.
    """
    inner = text_config(config)
    width = hidden_size(config, weights)
    wide = next(
        (inner[n] for n in ("intermediate_size", "d_ff", "hidden_dim", "n_inner") if type(inner.get(n)) is int), 0
    )
    batch = BATCH * (6 * width + 2 * (wide or 4 * width))
    result = {dtype: (weights.parameters + batch) * size for dtype, size in ITEMSIZE.items()}
    if quantised:
        table = min(weights.parameters, table_numbers(config))
        head = table if inner.get("tie_word_embeddings", config.get("tie_word_embeddings", True)) else 0
        for dtype, size in QUANTISED_SIZE.items():
            tables = table * TABLE_SIZE[dtype] + head * QUANTISED_SIZE["int8"]
            result[dtype] = round((weights.parameters - table) * size + tables + batch * ITEMSIZE["bf16"])
    return result


def _bounded(problem: str) -> str:
    """Return a sentence without its middle where names from the folder have made it endless."""
    return problem if len(problem) <= 1000 else f"{problem[:500]} [...] {problem[-400:]}"


def _folder_name(folder: str) -> str:
    """Return the folder's name, with the one above where the name alone says nothing."""
    above, name = os.path.split(folder.rstrip(os.sep))
    if name.lower() in _PLAIN_NAMES or name.lower().startswith("checkpoint-"):
        return f"{os.path.basename(above)}/{name}".lstrip("/")
    return name or folder


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"
