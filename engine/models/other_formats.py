"""What a file or folder is that holds no model in safetensors, and what to choose instead: sentences for refusals."""

from __future__ import annotations

import os

from engine.errors import ModelError
from engine.models.cache import CACHED, folders_in
from engine.models.json_file import read_object

ADAPTER = "adapter_config.json"
"""A folder with it holds an adapter (LoRA), by PEFT."""

_GGUF = "a GGUF file is a model of its own: choose the file itself."
_ORIGINAL = "Download the model's original folder, with config.json and model.safetensors."
_CONVERT = (
    "such files can run code. Heddle loads safetensors only: download the model's safetensors version, or convert a model "
    'that you trust with AutoModel.from_pretrained("FOLDER").save_pretrained("NEW FOLDER").'
)

_FORMATS: tuple[tuple[tuple[str, ...], str], ...] = (
    ((".gguf",), _GGUF),
    ((".ggml",), f"files of old versions of llama.cpp are not run by Heddle; GGUF files are. {_ORIGINAL}"),
    ((".bin", ".pt", ".pth", ".ckpt", ".pkl"), f"and {_CONVERT}"),
    ((".onnx", ".onnx_data", ".ort"), f"ONNX files are for onnxruntime, and Heddle does not run them. {_ORIGINAL}"),
    ((".xml",), f"OpenVINO's files are not run by Heddle. {_ORIGINAL}"),
    ((".h5", ".tflite", ".pb"), f"TensorFlow's files are not run by Heddle. {_ORIGINAL}"),
    ((".msgpack",), f"Flax's files are not run by Heddle. {_ORIGINAL}"),
    ((".ot",), f"files for rust-bert are not run by Heddle. {_ORIGINAL}"),
    ((".npz",), f"MLX's files are not run by Heddle. {_ORIGINAL}"),
    ((".llamafile", ".mlmodel", ".mlpackage", ".engine", ".nemo"), f"Heddle does not run them. {_ORIGINAL}"),
)
"""Endings of weights that are not loaded, and why: most of them can run code, the others need another program."""

_NOT_WEIGHTS = frozenset(("training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth"))
"""Files of a training run that lie beside weights."""

_BESIDE = ("", "onnx", "openvino", "original")
"""Folders of a model in which publishers put its other formats."""


def adapter(folder: str, shown: str = "") -> ModelError:
    """Return the refusal of a folder with an adapter; raises ModelError when its file is damaged."""
    base = read_object(os.path.join(folder, ADAPTER), shown + ADAPTER).get("base_model_name_or_path")
    of = f" ({base})" if isinstance(base, str) and base else ""
    return ModelError(
        f"{shown}{ADAPTER}: this is an adapter (LoRA) that changes another model{of}; alone it cannot run. Merge it into "
        "its model (merge_and_unload) and save that with safetensors, then choose the merged folder."
    )


def other_weights(folder: str, shown: str = "") -> str:
    """Return a sentence about weights of another format in ``folder``, empty when there are none."""
    for place in _BESIDE:
        names = _names(os.path.join(folder, place))
        for endings, why in _FORMATS:
            name = next((n for n in names if n.lower().endswith(endings) and n.lower() not in _NOT_WEIGHTS), "")
            if name:
                shown_name = f"{shown}{place}/{name}" if place else f"{shown}{name}"
                joint = "," if why.startswith("and ") else ";"
                return f"The weights are only in {shown_name}{joint} {why}"
    return ""


def not_a_folder(path: str) -> str:
    """Return a sentence about ``path``, which is a file, or nothing at all."""
    if not os.path.lexists(path):
        return f"{path} does not exist. Choose the folder that holds config.json and model.safetensors."
    name = path.lower()
    if name.endswith(".safetensors"):
        return f"{path} is the file with the weights. Choose the folder that it lies in."
    why = next((why for endings, why in _FORMATS if name.endswith(endings)), "")
    if why:
        joint = "," if why.startswith("and ") else ";"
        return f"{path} is a file{joint} {why}"
    return f"{path} is not a folder. Choose the folder that holds config.json and model.safetensors."


def no_model(folder: str) -> str:
    """Return a sentence about a folder that has neither config.json nor modules.json: what it is, what to choose.

    Raises OSError when it cannot be listed, ModelError when it holds a damaged adapter.
    """
    names = sorted(os.listdir(folder))
    folders = folders_in(folder)
    if ADAPTER in names:
        return str(adapter(folder))
    if os.path.basename(folder).startswith(CACHED):
        return (
            "This is a model's entry in a Hugging Face cache, and no snapshot of the model is in it: the download was "
            "not completed. Download the model again."
        )
    if entry := min((name for name in folders if name.startswith(CACHED)), default=""):
        return f"This is a Hugging Face cache; a model in it is chosen by its own folder, such as {entry}."
    if "model_index.json" in names:
        return "model_index.json: this model makes pictures (diffusers). Choose a model that reads text."
    if {"params.json", "consolidated.safetensors"} <= {*names}:
        return f"This is the maker's own format (params.json, consolidated.safetensors). {_ORIGINAL}"
    beside = other_weights(folder)
    if beside:
        return f"config.json is missing. {beside}"
    weights = next((n for n in names if n.lower().endswith(".safetensors")), "")
    if weights:
        return (
            f"config.json is missing beside {weights}. Download the model's config and tokenizer files into the folder."
        )
    inner = [n for n in folders if not n.startswith(".") and os.path.isfile(os.path.join(folder, n, "config.json"))]
    if inner:
        return f"config.json is missing, but folders in this one have it. Choose one of them, such as {min(inner)}."
    return (
        "config.json is missing, so this is no model's folder. Choose the one with config.json and model.safetensors."
    )


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
