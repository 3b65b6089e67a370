"""How an embedding folder makes a vector of a text: the modules that sentence-transformers' files describe.

Read by hand from the same files and keys as sentence-transformers reads them (5 and 6; folders written since version
0.3), so that vectors are equal. Whatever would change the vectors and is not understood is refused, never ignored.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, NoReturn

from engine.errors import ModelError
from engine.models.json_file import read_json, read_object
from engine.models.safetensors_header import read_header
from engine.models.sizes import hidden_size
from engine.models.weights import SINGLE, Weights, find_weights, inside
from engine.models.window import group, max_tokens

POOLINGS = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
"""The pooling modes, in the order in which old folders (one switch a mode) put several of them side by side."""

_SWITCHES = {
    **{f"pooling_mode_{mode}_token{end}": mode for mode, end in (("cls", ""), ("max", "s"), ("mean", "s"))},
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}

_TRANSFORMER_FILES = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)

_ACTIVATIONS = (
    "CELU", "ELU", "GELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity", "LeakyReLU", "LogSigmoid",
    "Mish", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink",
)  # fmt: skip

_HARMLESS = {
    "add_pooling_layer", "attn_implementation", "device_map", "dtype", "low_cpu_mem_usage", "model_max_length",
    "padding_side", "torch_dtype", "trust_remote_code", "use_cache", "use_fast", "use_safetensors",
}  # fmt: skip
"""Arguments saved for the model, its configuration or its tokenizer that do not change the vectors."""

_SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")

_OTHER_KINDS = {
    "SparseEncoder": "a sparse encoder, whose vectors have one number a word of the vocabulary",
    "CrossEncoder": "a cross-encoder, which compares two texts and makes no vectors",
    "MultiVectorEncoder": "a multi-vector model, which makes one vector a token",
}


@dataclass(frozen=True, slots=True)
class DenseLayer:
    """A linear layer behind the pooling: tensors ``linear.weight`` [out, in] and, with ``bias``, ``linear.bias`` [out].

    ``activation`` is the name of a class in ``torch.nn``, made without arguments; ``weights`` the safetensors file.
    """

    in_features: int
    out_features: int
    bias: bool
    activation: str
    weights: str


@dataclass(frozen=True, slots=True)
class EmbeddingPipeline:
    """From text to vector: transformer, pooling, dense layers, unit length, truncation, in this order.

    ``max_tokens`` counts special tokens; ``pooling`` lists modes whose vectors are put side by side; without
    ``include_prompt`` the prompt's tokens stay out of the pooling; ``dimension`` is that of the final vectors, of
    which only the first ``truncate_dim`` numbers are kept when it is not 0. ``declared`` is false for a folder without
    modules.json, ``notes`` are warnings for the user.
    """

    folder: str
    transformer_folder: str
    max_tokens: int
    do_lower_case: bool = False
    pooling: tuple[str, ...] = ("mean",)
    include_prompt: bool = True
    dense: tuple[DenseLayer, ...] = ()
    normalize: bool = False
    dimension: int = 0
    truncate_dim: int = 0
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    similarity: str = "cosine"
    declared: bool = True
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Module:
    kind: str
    folder: str
    shown: str


def transformer_place(folder: str) -> str:
    """Return where in ``folder`` the transformer's own files lie: an empty string, or a subfolder's name.

    Raises ModelError when modules.json is damaged or does not begin with a transformer.
    """
    modules = _modules(folder)
    return modules[0].shown.rstrip("/") if modules else ""


def read_pipeline(folder: str, weights: Weights | None = None) -> EmbeddingPipeline:
    """Return how the model in ``folder`` turns a text into a vector; reads JSON and safetensors headers only.

    A folder without modules.json gets mean pooling (the last token for models made as text generators), vectors as
    they come, as sentence-transformers does it. ``weights`` saves reading the transformer's headers again. Raises
    ModelError naming the file when a part is missing, damaged, or of a kind that Heddle does not run.
    """
    modules = _modules(folder)
    place = modules[0] if modules else _Module("Transformer", folder, "")
    config = read_object(os.path.join(place.folder, "config.json"), f"{place.shown}config.json")
    if weights is None:
        weights = find_weights(place.folder, place.shown)
    width = hidden_size(config, weights)
    if not modules:
        length, note = max_tokens(folder, "", config, weights, {})
        mode = _default_pooling(config)
        return EmbeddingPipeline(
            folder, folder, length, pooling=(mode,), dimension=width, declared=False, notes=(note,) if note else ()
        )
    own = _transformer_config(place)
    length, note = max_tokens(place.folder, place.shown, config, weights, own)
    pooling, include_prompt = _pooling(modules)
    dense, normalize = _behind_pooling(modules, len(pooling) * width)
    outer = _outer_config(folder)
    dimension = dense[-1].out_features if dense else len(pooling) * width
    truncate = outer.get("truncate_dim") or 0
    if type(truncate) is not int or truncate < 0:
        raise ModelError("config_sentence_transformers.json: truncate_dim is not a whole number. Correct the file.")
    prompts, default = _prompts(outer)
    similarity = outer.get("similarity_fn_name")
    return EmbeddingPipeline(
        folder=folder,
        transformer_folder=place.folder,
        max_tokens=length,
        do_lower_case=own.get("do_lower_case") is True,
        pooling=pooling,
        include_prompt=include_prompt,
        dense=dense,
        normalize=normalize,
        dimension=min(dimension, truncate) if truncate else dimension,
        truncate_dim=truncate,
        prompts=prompts,
        default_prompt_name=default,
        similarity=similarity if similarity in _SIMILARITIES else "cosine",
        notes=(note,) if note else (),
    )


# ------------------------------------------------------------------------------------------------------------ modules
def _modules(folder: str) -> tuple[_Module, ...]:
    """Return the modules in order, empty without modules.json; refuses custom code and places outside the folder."""
    path = os.path.join(folder, "modules.json")
    if not os.path.lexists(path):
        return ()
    entries = read_json(path, "modules.json")
    if not isinstance(entries, list) or not entries:
        raise ModelError("modules.json does not list the model's modules. Download it again.")
    modules: list[_Module] = []
    for entry in entries:
        kind, place = (entry.get("type"), entry.get("path", "")) if isinstance(entry, dict) else (None, None)
        if not isinstance(kind, str) or not isinstance(place, str):
            raise ModelError("modules.json has an entry without type and path. Download it again.")
        if place and not inside(place):
            raise ModelError(f"modules.json sends a module outside the folder, to {place!r}. Do not use this model.")
        if not kind.startswith("sentence_transformers."):
            raise ModelError(
                f"modules.json asks for code from the model's folder ({kind}), and Heddle runs no code that comes with "
                "a model. Use a version of the model that works without trust_remote_code."
            )
        shown = f"{place.rstrip('/')}/" if place else ""
        modules.append(_Module(kind.rsplit(".", 1)[1], os.path.join(folder, place) if place else folder, shown))
    if modules[0].kind != "Transformer":
        _unsupported(modules[0].kind)
    return tuple(modules)


def _unsupported(kind: str) -> NoReturn:
    if kind == "StaticEmbedding":
        raise ModelError(
            "modules.json: this model has static embeddings, a table of word vectors without a transformer, which Heddle "
            "does not run. Choose a model whose first module is a Transformer."
        )
    raise ModelError(
        f"modules.json uses the module {kind}, which Heddle does not run "
        "(it runs Transformer, Pooling, Dense and Normalize, in this order). Choose another model."
    )


def _pooling(modules: tuple[_Module, ...]) -> tuple[tuple[str, ...], bool]:
    """Return the pooling modes and whether the prompt's tokens count."""
    if len(modules) < 2 or modules[1].kind != "Pooling":
        _unsupported(modules[1].kind if len(modules) > 1 else "Transformer alone")
    name = f"{modules[1].shown}config.json"
    config = read_object(os.path.join(modules[1].folder, "config.json"), name)
    modes = config.get("pooling_mode")
    if modes is None:
        modes = [mode for switch, mode in _SWITCHES.items() if config.get(switch)] or ["mean"]
    if isinstance(modes, str):
        modes = [modes]
    if not isinstance(modes, list) or not modes or not all(isinstance(m, str) and m in POOLINGS for m in modes):
        raise ModelError(f"{name}: unknown pooling {modes!r}; Heddle knows {', '.join(POOLINGS)}.")
    return tuple(modes), config.get("include_prompt", True) is not False


def _behind_pooling(modules: tuple[_Module, ...], width: int) -> tuple[tuple[DenseLayer, ...], bool]:
    """Return the dense layers and whether vectors are scaled to length 1; dropout does nothing outside training."""
    dense: list[DenseLayer] = []
    normalize = False
    for module in modules[2:]:
        if module.kind == "Normalize":
            _own_vector_only(module, {})
            normalize = True
        elif module.kind == "Dense" and not normalize:
            dense.append(_dense(module, dense[-1].out_features if dense else width))
        elif module.kind != "Dropout":
            _unsupported("Dense after Normalize" if module.kind == "Dense" else module.kind)
    return tuple(dense), normalize


def _own_vector_only(module: _Module, config: dict[str, Any]) -> None:
    """Refuse a module that reads or writes something else than the text's vector."""
    path = os.path.join(module.folder, "config.json")
    if not config and os.path.lexists(path) and module.shown:
        config = read_object(path, f"{module.shown}config.json")
    for key in ("module_input_name", "module_output_name"):
        if config.get(key) not in (None, "sentence_embedding"):
            raise ModelError(
                f"{module.shown}config.json: {module.kind} works on {config[key]!r}, not on the text's vector, "
                "which Heddle does not run. Choose another model."
            )


def _dense(module: _Module, width: int) -> DenseLayer:
    """Read one dense layer and check it against the header of its weights; ``width`` is what comes in."""
    name = f"{module.shown}config.json"
    config = read_object(os.path.join(module.folder, "config.json"), name)
    _own_vector_only(module, config)
    given, made, bias = config.get("in_features"), config.get("out_features"), config.get("bias", True) is not False
    if type(given) is not int or type(made) is not int or not 0 < given <= 1 << 20 or not 0 < made <= 1 << 20:
        raise ModelError(f"{name}: in_features and out_features are not sensible whole numbers. Download it again.")
    if given != width:
        raise ModelError(f"{name}: the layer takes {given} numbers, but {width} come in. Download the model again.")
    if config.get("use_residual"):
        raise ModelError(f"{name}: a dense layer with use_residual is not run by Heddle yet. Choose another model.")
    path = os.path.join(module.folder, SINGLE)
    if not os.path.lexists(path) and os.path.isdir(module.folder):
        find_weights(module.folder, module.shown)  # says what is there instead, such as pytorch_model.bin
    tensors = read_header(path, module.shown + SINGLE).tensors
    wanted = {"linear.weight": (made, given), **({"linear.bias": (made,)} if bias else {})}
    if {key: tensor.shape for key, tensor in tensors.items()} != wanted:
        raise ModelError(f"{module.shown}{SINGLE} does not hold the layer that {name} describes. Download both again.")
    return DenseLayer(given, made, bias, _activation(config, name), path)


def _activation(config: dict[str, Any], name: str) -> str:
    """Return the activation's class name in torch.nn. Tanh stands for what is not PyTorch's own."""
    path = config.get("activation_function", "torch.nn.Tanh")
    if path is None:
        return "Identity"
    if not isinstance(path, str) or not path.startswith("torch."):
        return "Tanh"
    kind = path.rsplit(".", 1)[1]
    if not path.startswith("torch.nn.") or kind not in _ACTIVATIONS:
        raise ModelError(f"{name}: the activation {path} is not one that Heddle runs. Choose another model.")
    return kind


# ------------------------------------------------------------------------------------------------------------- configs
def _outer_config(folder: str) -> dict[str, Any]:
    path = os.path.join(folder, "config_sentence_transformers.json")
    config = read_object(path, "config_sentence_transformers.json") if os.path.lexists(path) else {}
    kind = config.get("model_type", "SentenceTransformer")
    if kind != "SentenceTransformer":
        what = _OTHER_KINDS.get(kind, f"a {kind}") if isinstance(kind, str) else "of an unknown kind"
        raise ModelError(
            f"config_sentence_transformers.json says that this is {what}. Choose a model with one vector a text."
        )
    return config


def _prompts(config: dict[str, Any]) -> tuple[dict[str, str], str | None]:
    """Return the prompts by name and the name of the one that every text gets."""
    name = "config_sentence_transformers.json"
    prompts, default = config.get("prompts") or {}, config.get("default_prompt_name")
    if not isinstance(prompts, dict) or not all(text is None or isinstance(text, str) for text in prompts.values()):
        raise ModelError(f"{name}: the prompts are not texts. Download it again.")
    # "query" and "document" are known to sentence-transformers even when the folder gives them no text.
    if default is not None and not isinstance(default, str):
        raise ModelError(f"{name}: default_prompt_name is not a text. Download it again.")
    if default is not None and default not in prompts and default not in ("query", "document"):
        raise ModelError(f"{name}: the default prompt {default!r} is not among the prompts. Correct the file.")
    return {key: text or "" for key, text in prompts.items()}, default


def _transformer_config(module: _Module) -> dict[str, Any]:
    """Return sentence_bert_config.json (or one of its older names); refuses settings that would change vectors."""
    config: dict[str, Any] = {}
    name = ""
    for file in _TRANSFORMER_FILES:
        if os.path.lexists(os.path.join(module.folder, file)):
            name = module.shown + file
            config = read_object(os.path.join(module.folder, file), name)
            if config:
                break
    default = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
    modality = group(config, "modality_config") or default
    text = modality.get("text")
    if config.get("transformer_task", "feature-extraction") != "feature-extraction" or not isinstance(text, dict):
        raise ModelError(f"{name}: the transformer is not used to make vectors of texts. Choose another model.")
    if "message" in modality:
        raise ModelError(
            f"{name}: texts go through a chat template here, which Heddle does not do. Choose another model."
        )
    if text.get("method") != "forward" or text.get("method_output_name") != "last_hidden_state":
        raise ModelError(f"{name}: vectors are taken from another place than the last layer. Choose another model.")
    if config.get("module_output_name") not in (None, "token_embeddings"):
        raise ModelError(f"{name}: the transformer makes {config['module_output_name']!r}, not token vectors.")
    for key in ("model_args", "model_kwargs", "config_args", "config_kwargs", "tokenizer_args", "processor_kwargs"):
        odd = sorted(group(config, key).keys() - _HARMLESS)
        if odd:
            raise ModelError(f"{name}: the setting {odd[0]} in {key} is not followed by Heddle. Choose another model.")
    processing = group(config, "processing_kwargs")
    odd = [key for key in processing if key != "text"]
    odd += sorted(group(processing, "text").keys() - {"max_length", "padding", "truncation"})
    if odd:
        raise ModelError(f"{name}: the setting {odd[0]} in processing_kwargs is not followed by Heddle.")
    return config


def _default_pooling(config: dict[str, Any]) -> str:
    """Return the pooling that sentence-transformers gives a folder without modules.json."""
    architectures = config.get("architectures")
    first = architectures[0] if isinstance(architectures, list) and architectures else ""
    return "lasttoken" if str(first).endswith("ForCausalLM") and config.get("is_causal", True) else "mean"
